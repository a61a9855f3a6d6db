"""Boundary F1: how well the outlines of predicted regions follow the true ones.

Csurka, Larlus and Perronnin, What is a good evaluation measure for semantic segmentation? (BMVC 2013). All classes are
measured at once: the sets of pixels are bits of one integer a pixel, so a dilation of it dilates every class.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.analysis.pixel_confusion import pixel_confusion

DIAGONAL_SHARE = 0.0075
WORD = 64

Bits = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class BoundaryMatches:
    """Boundary pixels of each class, int64 (K,), and how many of them lie within the distance of the other mask's
    boundary of that class.
    """

    truth: NDArray[np.int64]
    truth_met: NDArray[np.int64]
    predicted: NDArray[np.int64]
    predicted_met: NDArray[np.int64]

    def f1(self) -> list[float | None]:
        """Harmonic mean of precision and recall of each class in [0, 1]: 0 where only one mask has a boundary, None
        where neither has.
        """
        return [
            _f1(*numbers)
            for numbers in zip(
                self.truth.tolist(),
                self.truth_met.tolist(),
                self.predicted.tolist(),
                self.predicted_met.tolist(),
                strict=True,
            )
        ]


def _f1(truth: int, truth_met: int, predicted: int, predicted_met: int) -> float | None:
    if not truth and not predicted:
        return None
    if not truth_met or not predicted_met:
        return 0.0
    recall, precision = truth_met / truth, predicted_met / predicted
    return 2 * precision * recall / (precision + recall)


def default_distance(height: int, width: int) -> int:
    """Pixels within which a boundary counts as met: 0.75 % of the image's diagonal, rounded, at least 1."""
    return max(1, round(DIAGONAL_SHARE * math.hypot(height, width)))


def boundary_matches(
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    n_scored: int,
    distance: int,
    valid: NDArray[np.bool_] | None = None,
) -> BoundaryMatches:
    """Compare the boundaries of classes 0 to ``n_scored`` - 1 in two masks (H, W) of class indices.

    A pixel is on the boundary of its class where one of its four neighbours in the image has another class; the
    image's edge is no boundary. It is met where the other mask has a boundary pixel of that class no further away
    than ``distance`` pixels (Euclidean, between pixel centres). Where ``valid`` (H, W) is given, pixels outside it are
    on no boundary and make none.
    """
    totals = np.zeros((4, n_scored), dtype=np.int64)
    for first in range(0, n_scored, WORD):
        outlines = [boundary_bits(mask, first, min(n_scored - first, WORD), valid) for mask in (truth, predicted)]
        reached = [dilated(bits, distance) for bits in outlines]
        totals[:2] += _counts(truth, outlines[0], reached[1], n_scored)
        totals[2:] += _counts(predicted, outlines[1], reached[0], n_scored)
    return BoundaryMatches(*totals)


def _counts(mask: NDArray[np.uint8], outline: Bits, reached: Bits, n_scored: int) -> NDArray[np.int64]:
    """int64 (2, K): pixels of each class on its boundary, and those of them that the other boundary reaches."""
    state = (outline != 0).view(np.uint8) + (outline & reached != 0)
    counts = pixel_confusion(mask, state, max(n_scored + 1, 3))[:n_scored]
    return np.stack([counts[:, 1] + counts[:, 2], counts[:, 2]])


def boundary_bits(mask: NDArray[np.uint8], first: int, n_classes: int, valid: NDArray[np.bool_] | None = None) -> Bits:
    """Unsigned (H, W) of at least ``n_classes`` (up to 64) bits: bit i is set where the pixel is of class ``first`` + i
    and on its boundary.
    """
    edge = np.zeros(mask.shape, dtype=np.bool_)
    for axis in (0, 1):
        before, after = _neighbours(axis)
        differs = mask[before] != mask[after]
        if valid is not None:
            differs &= valid[before] & valid[after]
        edge[before] |= differs
        edge[after] |= differs
    dtype = np.min_scalar_type((1 << n_classes) - 1)
    place = (mask - np.uint8(first)).astype(dtype, copy=False)  # below ``first`` it wraps to far beyond the last bit
    bits: Bits = np.left_shift(np.array(1, dtype=dtype), place)  # and there NumPy's shift is 0
    bits *= edge
    return bits


def _neighbours(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of all pixels but the last, and of all but the first, along an axis of (H, W)."""
    whole = slice(None)
    before, after = slice(None, -1), slice(1, None)
    return ((before, whole), (after, whole)) if axis == 0 else ((whole, before), (whole, after))


def dilated(bits: Bits, radius: int) -> Bits:
    """The union, bit by bit, of (H, W) moved by every whole vector no longer than ``radius``.

    A disc is a stack of rows: the array widened to both sides by w pixels is moved up and down by the dy for which w
    is the largest whole number with w² + dy² <= radius². So the work grows with the radius, not with its square.
    """
    result = np.zeros_like(bits)
    row = bits.copy()
    widened = 0
    for dy in range(radius, -1, -1):
        width = math.isqrt(radius * radius - dy * dy)
        while widened < width:
            widened += 1
            _unite(row, bits, widened, axis=1)
        if dy == 0:
            result |= row
        else:
            _unite(result, row, dy, axis=0)
    return result


def _unite(target: Bits, source: Bits, shift: int, axis: int) -> None:
    """``target`` |= ``source`` moved by ``shift`` pixels either way along ``axis``, in place."""
    if shift >= source.shape[axis]:
        return
    low, high = slice(None, -shift), slice(shift, None)
    whole = slice(None)
    first, second = ((low, whole), (high, whole)) if axis == 0 else ((whole, low), (whole, high))
    target[first] |= source[second]
    target[second] |= source[first]
