"""Batches of views: which images an optimiser step sees, and how they reach the device.

The order of the images is a function of (seed, epoch) and a view of (seed, epoch, index, view), so the number of
workers, the split over processes and an interruption cannot change what a step sees.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from headstart.data.imageset import ImageSet
from headstart.data.reading import Item, Items, WatchedBatches, file_batches
from headstart.data.reduced import decode_as_asked
from headstart.data.seeds import derive
from headstart.data.threads import PATIENCE_SECONDS
from headstart.data.views import Drawn, View


@dataclass(frozen=True)
class Batching:
    """How ``n`` images are cut into optimiser steps: full batches only, the rest of an epoch is left out.

    With fewer images than ``batch_size`` a batch is all of them. ``parts`` is accumulation x processes; a batch is
    rounded down to a multiple of it.
    """

    n: int
    batch_size: int
    parts: int = 1

    @property
    def size(self) -> int:
        """Images in an optimiser step."""
        return max(self.parts, min(self.batch_size, self.n) // self.parts * self.parts)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.n // self.size)

    def indices(self, seed: int, step: int) -> np.ndarray:
        """The images of one optimiser step: int64 (size,), a slice of the epoch's permutation."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = epoch_order(self.n, seed, epoch)
        return np.resize(order[position * self.size : (position + 1) * self.size], self.size)


@lru_cache(maxsize=2)
def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation of ``n`` images in an epoch: int64 (n,)."""
    return np.random.default_rng(derive(seed, "order", epoch)).permutation(n)


class MicroBatches:
    """Batch sampler: from ``start_step`` on, the (epoch, index) items of this process's micro-batches, in order."""

    def __init__(
        self, batching: Batching, seed: int, steps: range, accumulate: int | None = None, rank: int = 0, world: int = 1
    ) -> None:
        self.batching, self.seed, self.steps = batching, seed, steps
        self.accumulate, self.rank, self.world = accumulate or batching.parts // world, rank, world

    def __len__(self) -> int:
        return len(self.steps) * self.accumulate

    def __iter__(self) -> Iterator[list[Item]]:
        for step in self.steps:
            epoch = step // self.batching.steps_per_epoch
            for part in np.array_split(self.batching.indices(self.seed, step), self.accumulate):
                mine = np.array_split(part, self.world)[self.rank]
                yield [(epoch, int(i)) for i in mine]


class ViewsDataset(Dataset[tuple[Tensor, int, int]]):
    """Views of the images of a set; an item is (views (V, 3, S, S) float32, label or -1, index).

    A batch has the same views as its items one by one, bit for bit, and takes less time. The ``views`` are normalised
    alike (those of ``build_views`` are).
    """

    def __init__(self, images: ImageSet, views: Sequence[View], seed: int) -> None:
        self.images, self.views, self.seed = images, views, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: Item) -> tuple[Tensor, int, int]:
        views, labels, indices = self.batch([self.read(item)])
        return views[0], int(labels[0]), int(indices[0])

    def read(self, item: Item) -> tuple[list[Drawn], int, int]:
        """The V views before their colours are changed, label or -1, index."""
        epoch, index = item
        image = read_chw(self.images, index)
        drawn = [view.draw(image, derive(self.seed, "view", epoch, index, v)) for v, view in enumerate(self.views)]
        return drawn, -1 if self.images.labels is None else self.images.labels[index], index

    def batch(self, found: Sequence[tuple[list[Drawn], int, int]]) -> list[Tensor]:
        """[views (B, V, 3, S, S) float32, labels (B,) int64, indices (B,) int64] of what was read."""
        drawn, labels, indices = zip(*found, strict=True)
        views = self.views[0].finish([view for views in drawn for view in views])
        return [views.unflatten(0, (len(drawn), -1)), torch.tensor(labels), torch.tensor(indices)]

    def file_of(self, index: int) -> str:
        """The file of image ``index``."""
        return str(self.images.path(index))


def read_chw(images: ImageSet, index: int) -> Tensor:
    """One image as uint8 (3, H, W) in [0, 255], reduced as the set is to be read; from its pack where it has one."""
    if images.decoded is not None:
        pixels = images.decoded.read(images.names[index], index)
    else:
        pixels = decode_as_asked(images, images.path(index))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def worker_count(workers: int | Literal["auto"]) -> int:
    """Loader processes: as asked; or one for each core up to 8 beside an accelerator, one for each four cores without.

    A processor that also trains has no core to spare: on two cores a worker process made training slower.
    """
    if workers != "auto":
        return workers
    cores = os.cpu_count() or 1
    return min(8, cores if torch.cuda.is_available() else cores // 4)


def training_loader(
    dataset: Items, batches: MicroBatches, workers: int, patience: float = PATIENCE_SECONDS
) -> WatchedBatches:
    """Loader over an explicit list of micro-batches: [views (B, V, 3, S, S), labels (B,), indices (B,)] of a
    ViewsDataset, [crops (B, 3, S, S), masks (B, S, S), indices (B,)] of a PairsDataset. Errors are those of
    ``file_batches``.
    """
    return file_batches(dataset, batches, workers, patience, ahead=4)


def plain_batches(images: ImageSet, view: View, batch_size: int, workers: int = 0) -> WatchedBatches:
    """All images once, in order, in the plain view; batches as in ``training_loader`` with V = 1."""
    items = [(0, i) for i in range(len(images))]
    batches = [items[i : i + batch_size] for i in range(0, len(items), batch_size)]
    return file_batches(ViewsDataset(images, [view], 0), batches, workers)
