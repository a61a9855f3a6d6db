"""Regions with one class each: the probabilities of a segmentation model, summed up within masks.

The rule: a mask is *sure* where the mean probability of one class in it is above that of every other by at least a
margin. A pixel gets the class of the smallest sure mask that it lies in (the id raster's rule, among the sure ones),
and keeps the model's own class where there is none.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from headstart.inference.raster_output import NODATA_INDEX
from headstart.inference.refinement import Window
from headstart.inference.tiles import Strip, most_probable
from headstart.sam.files import largest_first
from headstart.sam.ids import ids_within
from headstart.sam.record import Mask, runs_in_image

NO_CLASS = NODATA_INDEX
"""The class of a mask that is not sure, and of pixels that are nodata."""


def refine(probabilities: Tensor, masks: Sequence[Mask], margin: float, valid: Tensor | None = None) -> np.ndarray:
    """Class indices of an image, sharpened by masks.

    Args:
        probabilities: float32 (C, H, W), summing to 1 over at most 255 classes.
        masks: of the same image, in any order; they may overlap.
        margin: in [0, 1], how far the largest mean probability must be above the second largest.
        valid: bool (H, W), false at nodata, which counts nowhere; None: all pixels are valid.

    Returns:
        uint8 (H, W): 255 at nodata. Without masks it is the most probable class of each pixel.

    Raises:
        ValueError: a mask is of an image of another size.
    """
    n_classes, height, width = probabilities.shape
    classes = most_probable(probabilities).cpu().numpy()
    if valid is not None:
        classes = np.where(valid.cpu().numpy(), classes, np.uint8(NODATA_INDEX))
    regions = MaskRegions((height, width), masks, n_classes, margin)
    regions.add(regions.sums(Strip(0, 0, height, probabilities, valid), 0))
    return regions.repainted((0, 0, width, height), classes)


class MaskRegions:
    """The masks of an image of ``size`` (height, width) as ``inference.refinement.Regions``.

    Memory: C + 1 numbers for each mask, and 8 bytes for each pixel of a strip while it is summed up. ValueError where a
    mask is of an image of another size.
    """

    def __init__(self, size: tuple[int, int], masks: Sequence[Mask], n_classes: int, margin: float) -> None:
        if any(mask.image_size != size for mask in masks):
            raise ValueError(f"masks of an image of another size than {size}")
        self.masks, self.n_classes, self.margin = largest_first(masks), n_classes, margin
        self.totals = np.zeros((len(masks), n_classes + 1))

    def sums(self, strip: Strip, left: int) -> np.ndarray:
        """For each mask, the sum of each class's probabilities over its valid pixels in the strip, and their number.

        float64 (masks, C + 1), the largest mask first.
        """
        found = np.zeros_like(self.totals)
        if strip.probabilities is None:
            return found
        shares = strip.probabilities
        window = (left, strip.top, left + shares.shape[2], strip.bottom)
        owners, x, top, bottom = runs_within(self.masks, window)
        for column in range(self.n_classes + 1):
            pixels = shares[column] if column < self.n_classes else torch.ones_like(shares[0])
            if strip.valid is not None:
                pixels = pixels * strip.valid.to(pixels.device)
            above = torch.zeros(pixels.shape[0] + 1, pixels.shape[1], dtype=torch.float64, device=pixels.device)
            torch.cumsum(pixels, 0, dtype=torch.float64, out=above[1:])
            sums = above.cpu().numpy()
            found[:, column] = np.bincount(owners, sums[bottom, x] - sums[top, x], minlength=len(self.masks))
        return found

    def add(self, sums: np.ndarray) -> None:
        """Take in the ``sums`` of a strip, in any shape."""
        self.totals += sums.reshape(self.totals.shape)

    def means(self) -> np.ndarray:
        """Mean probability of each class in each mask: float64 (masks, C), the largest mask first; 0 without pixels."""
        means: np.ndarray = self.totals[:, :-1] / np.maximum(self.totals[:, -1:], 1)
        return means

    def classes(self) -> np.ndarray:
        """The class of each mask, uint8 (masks,), the largest mask first; NO_CLASS where it is not sure."""
        means = self.means()
        ordered = np.sort(means, axis=1)
        second = ordered[:, -2] if self.n_classes > 1 else 0
        sure = (self.totals[:, -1] > 0) & (ordered[:, -1] - second >= self.margin)
        return np.where(sure, means.argmax(axis=1), NO_CLASS).astype(np.uint8)

    def repainted(self, window: Window, classes: np.ndarray) -> np.ndarray:
        """``classes`` uint8 (h, w) of ``window`` with the classes of the sure masks; nodata stays."""
        chosen = self.classes()
        sure = np.flatnonzero(chosen != NO_CLASS)
        ids = ids_within([self.masks[i] for i in sure], window)
        table = np.concatenate([[NO_CLASS], chosen[sure]]).astype(np.uint8)
        painted: np.ndarray = np.where((ids > 0) & (classes != NODATA_INDEX), table[ids], classes)
        return painted


def runs_within(masks: Sequence[Mask], window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The vertical runs of all masks, cut to ``window`` and in its pixels: whose, column, first row, and the row after
    the last, int64 (n,) each.
    """
    x0, y0, x1, y1 = window
    parts = [np.zeros((4, 0), dtype=np.int64)]
    for number, mask in enumerate(masks):
        left, upper, right, lower = mask.bbox
        if left >= x1 or right <= x0 or upper >= y1 or lower <= y0:
            continue
        runs = runs_in_image(mask)
        inside = (runs.x >= x0) & (runs.x < x1) & (runs.top < y1) & (runs.bottom > y0)
        x, top, bottom = (rows[inside] for rows in (runs.x, runs.top, runs.bottom))
        owner = np.full(len(x), number)
        parts.append(np.stack([owner, x - x0, np.maximum(top, y0) - y0, np.minimum(bottom, y1) - y0]))
    owners, x, top, bottom = np.concatenate(parts, axis=1)
    return owners, x, top, bottom
