"""Which learning rate a setting gets, by its scores on labelled images that were held out: plain arithmetic."""

import math
from collections.abc import Mapping, Sequence

ENOUGH_IMAGES = 100
"""Held-out images by which a learning rate is chosen; no further part is held out once there are as many."""
SAME = 1e-9
"""Differences of scores up to here are rounding errors."""

Scores = list[float | None]
"""A score in [0, 1] for each multiple of a grid; None where the training diverged."""


def parts_to_hold_out(sizes: Sequence[int], most: int) -> list[int]:
    """The parts (their indices in ``sizes``, images in each) that are held out one after the other: as many as it takes
    to hold out 100 images, and at most ``most``. Empty parts are passed over.
    """
    taken: list[int] = []
    for part, size in enumerate(sizes):
        if size and len(taken) < most and sum(sizes[i] for i in taken) < ENOUGH_IMAGES:
            taken.append(part)
    return taken


def mean_scores(by_part: Mapping[int, Scores], sizes: Sequence[int]) -> Scores:
    """The mean score of each multiple over the parts, each part counted by its images: of an accuracy, the share of all
    held-out images. None for a multiple that diverged on any part. At least one part.
    """
    total = sum(sizes[part] for part in by_part)
    means: Scores = []
    for of_multiple in zip(*by_part.values(), strict=True):
        weighted = [score * sizes[part] for part, score in zip(by_part, of_multiple, strict=True) if score is not None]
        means.append(sum(weighted) / total if len(weighted) == len(by_part) else None)
    return means


def best_multiple(grid: Sequence[float], scores: Scores, one_image: float) -> float:
    """The multiple with the best score; of those within ``one_image`` of the best, the one nearest to 1.

    Distance is that of logarithms: 1/3 and 3 are equally far from 1, and of the two the smaller is taken. Where no
    multiple has a score, the one nearest to 1.
    """
    scored = {multiple: score for multiple, score in zip(grid, scores, strict=True) if score is not None}
    best = max(scored.values(), default=0.0)
    tied = [multiple for multiple, score in scored.items() if best - score <= one_image + SAME]
    return min(tied or grid, key=lambda multiple: (round(abs(math.log(multiple)), 9), multiple))
