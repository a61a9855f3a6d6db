"""kNN accuracy of frozen features: the product's probe, on all training and all validation images."""

import numpy as np
import torch
from lightning_fabric import Fabric

from headstart.analysis.features import extract, plain_images
from headstart.analysis.probes import knn_accuracy
from headstart.configs.views import ViewsConfig
from headstart.data.imageset import ImageSet
from headstart.data.loaders import worker_count
from headstart.data.sources import labelled_split, open_source
from headstart.data.views import plain_view
from headstart.models.backbones import build_backbone
from headstart.models.weights import load_start


class KnnJudge:
    """Judges starts on one data set: the labels of the training images vote for the validation images."""

    def __init__(self, data: str, backbone: str, image_size: int) -> None:
        self.backbone, self.image_size = backbone, image_size
        self.train, self.val, _ = labelled_split(open_source(data))
        self.fabric = Fabric(accelerator="auto", devices=1)

    def of_start(self, start: str, seeds: int = 1) -> list[float]:
        """Accuracies, shares in [0, 1]: one for each of ``seeds`` initialisations, which differ where weights are
        random. Features are float32.
        """
        values = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            backbone = build_backbone(self.backbone, self.image_size)
            load_start(backbone, start)
            backbone.to(self.fabric.device)
            view = plain_view(ViewsConfig(), self.image_size, backbone.mean, backbone.std)
            train, val = (
                extract(backbone, images, view, worker_count("auto"), self.fabric) for images in (self.train, self.val)
            )
            values.append(self._vote(train, val))
        return values

    def of_pixels(self) -> float:
        """The same on the pixels themselves, centred: what no network at all comes to."""
        view = plain_view(ViewsConfig(), self.image_size, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        train, val = (flat(plain_images(images, view).numpy()) for images in (self.train, self.val))
        return self._vote(train - train.mean(0), val - train.mean(0))

    def _vote(self, train: np.ndarray, val: np.ndarray) -> float:
        return knn_accuracy(train, labels(self.train), val, labels(self.val))


def flat(images: np.ndarray) -> np.ndarray:
    """(n, ...) as (n, d)."""
    return images.reshape(len(images), -1)


def labels(images: ImageSet) -> np.ndarray:
    """Class indices of a labelled set: (n,)."""
    assert images.labels is not None
    return np.array(images.labels)
