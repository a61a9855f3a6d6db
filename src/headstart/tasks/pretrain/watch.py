"""Watching pre-training: what the features are worth while they are being learned."""

import logging
import math
from dataclasses import dataclass

import numpy as np
from lightning_fabric import Fabric
from torch import Tensor

from headstart.analysis.features import features_of, plain_images
from headstart.analysis.probes import effective_rank, feature_std, knn_accuracy, leave_one_out_knn
from headstart.configs.byol import WatchConfig
from headstart.data.imageset import ImageSet
from headstart.data.seeds import derive
from headstart.data.views import View
from headstart.models.byol import Byol
from headstart.training.health import collapsed, diverged, judge_collapse
from headstart.training.loop import Look
from headstart.training.state import TrainState

logger = logging.getLogger(__name__)

Labelled = tuple[Tensor, np.ndarray]


@dataclass(frozen=True)
class Watch:
    """The images looked at: training images, and labelled validation images where there are some."""

    config: WatchConfig
    fabric: Fabric
    images: Tensor
    labels: np.ndarray | None
    val: Labelled | None

    def measure(self, byol: Byol) -> dict[str, float]:
        """Spread and effective rank of the features, spread of the projections, and kNN accuracy where labels are.

        kNN classifies the validation images by the training images; without validation images each training image
        by the others (leave one out). All on frozen features of plain images.
        """
        was_training = byol.training
        byol.eval()
        features = features_of(byol.backbone, self.images, self.fabric)
        projections = features_of(byol.online, self.images, self.fabric)
        measured = {
            "feature_std": feature_std(features),
            "effective_rank": effective_rank(features),
            "projection_std": feature_std(projections),
        }
        if self.labels is not None and self.val is not None:
            val_features = features_of(byol.backbone, self.val[0], self.fabric)
            measured["knn"] = knn_accuracy(features, self.labels, val_features, self.val[1])
        elif self.labels is not None:
            measured["knn"] = leave_one_out_knn(features, self.labels)
        byol.train(was_training)
        return measured

    def look(self, state: TrainState) -> Look:
        """Measure, say it, and judge: stop when features are no numbers, or have collapsed (unless only to warn)."""
        assert isinstance(state.module, Byol)
        measured = self.measure(state.module)
        logger.info("step %d: %s", state.step, ", ".join(f"{name} {value:.3f}" for name, value in measured.items()))
        if not all(math.isfinite(value) for value in measured.values()):
            return Look({"watch": measured}, stop=diverged())
        spread = measured["feature_std"], measured["projection_std"]
        down = collapsed(*spread)
        state.memory["collapsed_looks"] = looks = state.memory.get("collapsed_looks", 0) + 1 if down else 0
        stop = judge_collapse(looks, *spread) if self.config.on_collapse == "stop" else None
        return Look({"watch": measured}, score=measured.get("knn"), healthy=not down, stop=stop)


def make_watch(
    config: WatchConfig, train: ImageSet, val: ImageSet | None, view: View, seed: int, fabric: Fabric
) -> Watch:
    """A watch over up to ``config.images`` training (and as many validation) images, drawn by the seed."""
    images, labels = _sample(train, config.images, view, seed)
    if labels is None or len(set(labels.tolist())) < 2:
        return Watch(config, fabric, images, None, None)
    if val is None or val.labels is None:
        return Watch(config, fabric, images, labels, None)
    val_images, val_labels = _sample(val, config.images, view, seed)
    assert val_labels is not None
    return Watch(config, fabric, images, labels, (val_images, val_labels))


def _sample(images: ImageSet, count: int, view: View, seed: int) -> tuple[Tensor, np.ndarray | None]:
    order = np.random.default_rng(derive(seed, "watch")).permutation(len(images))
    chosen = images.subset(np.sort(order[:count]))
    labels = None if chosen.labels is None else np.array(chosen.labels)
    return plain_images(chosen, view), labels
