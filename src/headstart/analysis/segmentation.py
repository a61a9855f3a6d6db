"""Scores of predicted masks under the named protocols, from counts (docs/reference/segmentation-metrics.md)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from headstart.analysis.boundaries import boundary_matches, default_distance
from headstart.analysis.pixel_confusion import pixel_confusion
from headstart.results import ClassScore, Protocol, SegmentScores

Share = float | None


@dataclass(frozen=True)
class Overlap:
    """Pixels of the scored classes, int64 (K,): in the truth, in the prediction, and in both."""

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    both: NDArray[np.int64]

    @classmethod
    def of(cls, counts: NDArray[np.int64], n_scored: int, protocol: Protocol) -> "Overlap":
        """From a confusion matrix whose ignored class, if any, is last.

        A pixel whose truth is ignored counts as predicted under ``deepglobe6`` and nowhere under the others. One whose
        prediction is the ignored class counts as missed wherever its truth is scored.
        """
        scored = counts[:n_scored]
        counted = counts if protocol == "deepglobe6" else scored
        return cls(scored.sum(axis=1), counted[:, :n_scored].sum(axis=0), scored.diagonal().copy())

    def iou(self) -> list[Share]:
        """Intersection over union of each class in [0, 1]; None where neither mask has a pixel of it."""
        return list(starmap(_share, zip(self.both, self.truth + self.predicted - self.both, strict=True)))

    def dice(self) -> list[Share]:
        """Twice the intersection over the sum of both, in [0, 1]; None where neither mask has a pixel of the class."""
        return list(starmap(_share, zip(2 * self.both, self.truth + self.predicted, strict=True)))

    def accuracy(self) -> Share:
        """Share of the pixels with a scored truth that are right; None where there are none."""
        return _share(self.both.sum(), self.truth.sum())


class Means:
    """Sums and numbers of the values that are there: the mean of each of ``size`` quantities."""

    def __init__(self, size: int) -> None:
        self.sums = np.zeros(size)
        self.numbers = np.zeros(size, dtype=np.int64)

    def add(self, values: Sequence[Share]) -> None:
        """Take in one value of each quantity; None counts for nothing."""
        for i, value in enumerate(values):
            if value is not None:
                self.sums[i] += value
                self.numbers[i] += 1

    def values(self) -> list[Share]:
        """The means; None where there was no value."""
        return [
            float(total / number) if number else None for total, number in zip(self.sums, self.numbers, strict=True)
        ]


class Scorer:
    """Takes predictions image by image and scores them under any protocol; keeps counts and sums, never images.

    ``labels`` name all class indices; the first ``n_scored`` are scored, and the one behind them, if any, is ignored.
    ``boundary_px`` is the distance of the boundary F1; None: ``default_distance`` of each image. With
    ``boundaries=False`` it is not measured.
    """

    def __init__(
        self, labels: Sequence[str], n_scored: int, boundary_px: int | None = None, boundaries: bool = True
    ) -> None:
        if not 1 <= n_scored <= len(labels) <= n_scored + 1:
            raise ValueError(f"of {len(labels)} labels all, or all but the last, are scored; not {n_scored}")
        self.labels = tuple(labels)
        self.n_scored = n_scored
        self.counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
        self.n_images = 0
        self._boundary_px = boundary_px
        self._boundaries = boundaries
        self._distances: set[int] = set()
        self._iou, self._dice = Means(n_scored), Means(n_scored)
        self._image_means = Means(3)  # IoU, Dice, accuracy
        self._outlines, self._valid_outlines = Means(n_scored), Means(n_scored)

    def add(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Take in one image: class indices (H, W) uint8. Raises ValueError for unequal shapes or unknown indices."""
        counts = pixel_confusion(truth, predicted, len(self.labels))
        self.counts += counts
        self.n_images += 1
        image = Overlap.of(counts, self.n_scored, "per-image")
        iou, dice = image.iou(), image.dice()
        self._iou.add(iou)
        self._dice.add(dice)
        self._image_means.add([_mean(iou), _mean(dice), image.accuracy()])
        if self._boundaries:
            self._add_boundaries(truth, predicted, bool(counts[self.n_scored :].any()))

    def _add_boundaries(self, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], has_ignored: bool) -> None:
        distance = self._boundary_px if self._boundary_px is not None else default_distance(*truth.shape)
        self._distances.add(distance)
        everywhere = boundary_matches(truth, predicted, self.n_scored, distance).f1()
        self._outlines.add(everywhere)
        if not has_ignored:
            self._valid_outlines.add(everywhere)
            return
        valid = truth < self.n_scored
        self._valid_outlines.add(boundary_matches(truth, predicted, self.n_scored, distance, valid).f1())

    def scores(self, protocol: Protocol) -> SegmentScores:
        """All numbers under ``protocol`` for the images so far; None where nothing could be scored, never NaN."""
        overlap = Overlap.of(self.counts, self.n_scored, protocol)
        if protocol == "per-image":
            iou, dice = self._iou.values(), self._dice.values()
            miou, mean_dice, accuracy = self._image_means.values()
        else:
            iou, dice = overlap.iou(), overlap.dice()
            miou, mean_dice, accuracy = _mean(iou), _mean(dice), overlap.accuracy()
        outlines = (self._outlines if protocol == "deepglobe6" else self._valid_outlines).values()
        names = self.labels[: self.n_scored]
        classes = [
            ClassScore(
                name=name,
                iou=iou[i],
                dice=dice[i],
                boundary_f1=outlines[i],
                truth_pixels=int(overlap.truth[i]),
                predicted_pixels=int(overlap.predicted[i]),
            )
            for i, name in enumerate(names)
        ]
        return SegmentScores(
            protocol=protocol,
            miou=miou,
            pixel_accuracy=accuracy,
            mean_dice=mean_dice,
            boundary_f1=_mean(outlines),
            boundary_px=next(iter(self._distances)) if len(self._distances) == 1 else None,
            classes=classes,
            absent=[each.name for each in classes if each.iou is None],
            labels=list(self.labels),
            counts=self.counts.tolist(),
            n_images=self.n_images,
        )


def image_iou(truth: NDArray[np.uint8], predicted: NDArray[np.uint8], n_scored: int) -> Share:
    """Mean IoU of one image as ``per-image`` takes it; None where nothing can be scored.

    Class indices (H, W) uint8; ``n_scored`` itself is the index of the ignored class.
    """
    counts = pixel_confusion(truth, predicted, n_scored + 1)
    return _mean(Overlap.of(counts, n_scored, "per-image").iou())


def _share(part: np.int64, whole: np.int64) -> Share:
    return int(part) / int(whole) if whole else None


def _mean(values: Iterable[Share]) -> Share:
    """The plain mean of the values that are there; None without any."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
