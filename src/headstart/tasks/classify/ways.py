"""The two ways to train a classifier: the whole network, or a linear layer on cached features.

A way holds the data in the form its module wants, and answers the same three questions: which batches, which logits
on the images it is judged on, which features of the training images.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from headstart.analysis.features import extract, features_of_views
from headstart.analysis.store import Store, digest
from headstart.configs.classify import ClassifyConfig
from headstart.data.imageset import ImageSet
from headstart.data.loaders import Batching, MicroBatches, ViewsDataset, training_loader, worker_count
from headstart.data.splits import Indices
from headstart.data.views import build_views, plain_view
from headstart.models.backbones import Backbone
from headstart.models.classifier import Classifier, FeatureClassifier, feature_statistics
from headstart.models.freeze import freeze
from headstart.tasks.classify.data import LabelledData
from headstart.training.loop import Batch
from headstart.training.session import Session


class Way(Protocol):
    """How a classifier is trained."""

    @property
    def module(self) -> nn.Module:
        """What is trained."""

    @property
    def n_images(self) -> int:
        """Training examples in an epoch."""

    def batches_of(self, batching: Batching, steps: range) -> Iterable[Batch]:
        """Micro-batches [inputs, labels] of this process."""

    def val_logits(self, module: nn.Module) -> np.ndarray:
        """float32 (n_val, n_classes)."""

    def train_features(self, module: nn.Module) -> np.ndarray:
        """Input of the linear layer for each plain training image: float32 (n_train, d)."""


class Full:
    """Everything is trained, on augmented images."""

    def __init__(
        self, session: Session, config: ClassifyConfig, backbone: Backbone, data: LabelledData, store: Store
    ) -> None:
        self.session, self.config = session, config
        self.train, self.val = data.train, data.val
        self.module: nn.Module = Classifier(backbone, len(data.classes))
        self.n_images = len(data.train)
        size, mean, std = config.image_size, backbone.mean, backbone.std
        self.dataset = ViewsDataset(data.train, build_views(data.views, size, mean, std, 1), config.seed)
        self.plain = plain_view(config.views, size, mean, std)

    def batches_of(self, batching: Batching, steps: range) -> Iterator[Batch]:
        config, fabric = self.session.config, self.session.fabric
        rank, world = fabric.global_rank, fabric.world_size
        sampler = MicroBatches(batching, config.seed, steps, rank=rank, world=world)
        for views, labels, _ in training_loader(
            self.dataset, sampler, worker_count(config.workers), config.file_seconds
        ):
            yield [views[:, 0].contiguous(memory_format=torch.channels_last), labels]

    def val_logits(self, module: nn.Module) -> np.ndarray:
        return extract(module, self.val, self.plain, worker_count(self.config.workers), self.session.fabric)

    def train_features(self, module: nn.Module) -> np.ndarray:
        assert isinstance(module, Classifier)
        return extract(module.backbone, self.train, self.plain, worker_count(self.config.workers), self.session.fabric)


class Frozen:
    """A linear layer is trained on features that were computed once; the backbone never changes."""

    def __init__(
        self, session: Session, config: ClassifyConfig, backbone: Backbone, data: LabelledData, store: Store
    ) -> None:
        self.session = session
        workers, fabric = worker_count(config.workers), session.fabric
        freeze(backbone.to(fabric.device))
        plain = plain_view(config.views, config.image_size, backbone.mean, backbone.std)
        weights = digest(backbone)
        how = f"{config.image_size} {backbone.mean} {backbone.std} {session.precision}"

        def features_of(images: ImageSet) -> Tensor:
            known = store.features_of(weights, how, images, lambda: extract(backbone, images, plain, workers, fabric))
            return torch.from_numpy(known)

        def features_in_pool(indices: Indices) -> Tensor:
            if store.shared:  # all runs of a study can use what was computed for the whole pool
                return features_of(data.pool)[indices]
            return features_of(data.pool.subset(indices))

        self.plain_train = features_in_pool(data.chosen)
        self.val = features_of(data.val) if data.held_out is None else features_in_pool(data.held_out)
        self.features, self.labels = self.plain_train, torch.tensor(data.train.labels)
        if config.frozen_views:
            views = build_views(data.views, config.image_size, backbone.mean, backbone.std, config.frozen_views)
            dataset = ViewsDataset(data.train, views, config.seed)
            self.features = torch.from_numpy(features_of_views(backbone, dataset, workers, fabric))
            self.labels = self.labels.repeat(config.frozen_views)
        statistics = feature_statistics(self.features, config.standardise)
        self.module = FeatureClassifier(*statistics, len(data.classes))
        self.n_images = len(self.features)

    def batches_of(self, batching: Batching, steps: range) -> Iterator[Batch]:
        config, fabric = self.session.config, self.session.fabric
        rank, world = fabric.global_rank, fabric.world_size
        sampler = MicroBatches(batching, config.seed, steps, rank=rank, world=world)
        for items in sampler:
            chosen = torch.tensor([index for _, index in items])
            yield [self.features[chosen], self.labels[chosen]]

    @torch.no_grad()
    def val_logits(self, module: nn.Module) -> np.ndarray:
        logits: Tensor = module(self.val.to(self.session.fabric.device))
        return logits.float().cpu().numpy()

    def train_features(self, module: nn.Module) -> np.ndarray:
        return self.plain_train.numpy()
