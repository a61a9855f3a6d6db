"""The images that the looks are taken on: chosen once, and kept in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from headstart.analysis.features import features_of, plain_images
from headstart.analysis.probes import Hits, knn_hits, leave_one_out_hits
from headstart.data.imageset import ImageSet
from headstart.data.loaders import ViewsDataset
from headstart.data.seeds import derive
from headstart.data.views import View

Labelled = tuple[Tensor, np.ndarray]

PAIRS = 512
"""Images of which two views are looked at, at most."""
PIXELS = 32
"""Side in pixels to which images are shrunk before their raw pixels are compared."""


@dataclass(frozen=True)
class Watched:
    """Plain training images (n, 3, S, S) with labels (n,), validation images likewise, and views (p, 2, 3, S, S).

    Labels are None where there are none, or one class only; ``val`` where there are no labelled validation images. The
    views are of training images, two of each, as training draws them.
    """

    images: Tensor
    labels: np.ndarray | None
    val: Labelled | None
    pairs: Tensor

    @property
    def n_knn(self) -> int:
        """Images that kNN puts into a class; 0 without labels."""
        return 0 if self.labels is None else len(self.labels if self.val is None else self.val[1])

    def knn(self, features: np.ndarray, val_features: np.ndarray | None) -> Hits | None:
        """Which images kNN puts into their class, by features (n, d) of the training and (m, d) of the others.

        It classifies the validation images by the training images; without validation images each training image by
        the others (leave one out).
        """
        assert self.labels is not None
        if self.val is None or val_features is None:
            return leave_one_out_hits(features, self.labels)
        return knn_hits(features, self.labels, val_features, self.val[1])

    def knn_of(self, backbone: nn.Module, fabric: Fabric) -> Hits | None:
        """The same by the features of a network, in evaluation mode."""
        val_features = None if self.val is None else features_of(backbone, self.val[0], fabric)
        return self.knn(features_of(backbone, self.images, fabric), val_features)

    def knn_of_pixels(self) -> Hits | None:
        """The same by the pixels themselves, shrunk to 32 x 32 by averaging."""
        return self.knn(_pixels(self.images), None if self.val is None else _pixels(self.val[0]))


def choose_watched(
    count: int, train: ImageSet, val: ImageSet | None, plain: View, views: Sequence[View], seed: int
) -> Watched:
    """Up to ``count`` training (and as many validation) images in the ``plain`` view, drawn by the seed, and two
    ``views`` of up to 512 of the training images.
    """
    chosen = _sample(train, count, seed)
    pairs = ViewsDataset(chosen.subset(range(min(PAIRS, len(chosen)))), views[:2], derive(seed, "watch"))
    labels = _labels(chosen)
    held_out = None if val is None or val.labels is None or labels is None else _sample(val, count, seed)
    return Watched(
        images=plain_images(chosen, plain),
        labels=labels,
        val=None if held_out is None else (plain_images(held_out, plain), np.array(held_out.labels)),
        pairs=torch.stack([pairs[0, i][0] for i in range(len(pairs))]),
    )


def _sample(images: ImageSet, count: int, seed: int) -> ImageSet:
    order = np.random.default_rng(derive(seed, "watch")).permutation(len(images))
    return images.subset(np.sort(order[:count]))


def _labels(images: ImageSet) -> np.ndarray | None:
    return None if images.labels is None or len(set(images.labels)) < 2 else np.array(images.labels)


def _pixels(images: Tensor) -> np.ndarray:
    side = min(PIXELS, images.shape[-1])
    return functional.adaptive_avg_pool2d(images, side).flatten(1).numpy()
