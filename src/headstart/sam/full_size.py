"""Masks at the size of the image, one at a time and only where they are: pixels, box and stability.

An interpolated logit is a convex combination of low-resolution ones, so nothing above a cut-off lies outside the pixels
that the low-resolution logits above it reach. Only that window is interpolated, in strips that fit a processor's cache.
The interpolation is separable; its weights are made by interpolating unit vectors with PyTorch itself, both steps of
``Sam.postprocess_masks`` in one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

STRIP_VALUES = 2**18
"""Interpolated logits of a mask that are held at a time: 1 MiB."""
WHOLE_VALUES = 2**24
"""Logits at full size that ``exact_masks`` holds at a time, one mask at the least: 64 MiB."""


@dataclass(frozen=True)
class FullSize:
    """A mask at full size: ``pixels``, bool (h, w), whose upper left one lies at ``offset`` (x, y) of the crop."""

    pixels: np.ndarray
    offset: tuple[int, int]
    stability: float


@dataclass(frozen=True)
class Axis:
    """Interpolation along one axis, from ``n`` low-resolution places to ``size`` pixels.

    Attributes:
        weights: (n, size) fp32.
        reach: for each place, the first pixel it counts in and the one after the last: (n, 2).
        support: for each pixel, the first place that counts in it and the one after the last: (size, 2).
    """

    weights: Tensor
    reach: np.ndarray
    support: np.ndarray


def axis_of(resize: Callable[[Tensor], Tensor], n: int, device: torch.device) -> Axis:
    """The axis whose interpolation is ``resize``, which takes (1, n, n) to (1, n, size) along the last."""
    weights = resize(torch.eye(n, device=device)[None])[0]
    counts = (weights != 0).cpu().numpy()
    return Axis(weights, _spans(counts), _spans(counts.T))


def _spans(counts: np.ndarray) -> np.ndarray:
    """First and one past the last true of each row; an empty span (0, 0) where there is none."""
    some = counts.any(axis=1)
    first, last = counts.argmax(axis=1), counts.shape[1] - counts[:, ::-1].argmax(axis=1)
    return np.stack([np.where(some, first, 0), np.where(some, last, 0)], axis=1)


def fast_mask(low: Tensor, rows: Axis, cols: Axis, threshold: float, offset: float) -> FullSize | None:
    """A mask from its low-resolution logits (h, w); None where no pixel is above ``threshold``.

    The stability is the number of pixels above ``threshold + offset`` divided by that above ``threshold - offset``.
    """
    above = low > threshold - offset
    y, x = _window(above.any(dim=1), rows), _window(above.any(dim=0), cols)
    if y is None or x is None:
        return None
    (y0, y1), (x0, x1) = y, x
    first, last = rows.support[y0, 0], rows.support[y1 - 1, 1]
    tall = low[first:last].T @ rows.weights[first:last, y0:y1]  # (columns of low, height)
    pixels = np.empty((x1 - x0, y1 - y0), dtype=bool)
    inner = outer = 0
    step = max(8, STRIP_VALUES // (y1 - y0))
    for start in range(x0, x1, step):
        stop = min(start + step, x1)
        first, last = cols.support[start, 0], cols.support[stop - 1, 1]
        strip = cols.weights[first:last, start:stop].T @ tall[first:last]
        inner += int(torch.count_nonzero(strip > threshold + offset))
        outer += int(torch.count_nonzero(strip > threshold - offset))
        pixels[start - x0 : stop - x0] = (strip > threshold).cpu().numpy()
    return FullSize(pixels.T, (x0, y0), inner / outer) if outer and pixels.any() else None


def _window(above: Tensor, axis: Axis) -> tuple[int, int] | None:
    """The pixels that the true places of an axis reach, None where there is none."""
    places = above.nonzero()[:, 0].cpu().numpy()
    reach = axis.reach[places]
    reach = reach[reach[:, 1] > reach[:, 0]]  # places in the padding reach nothing
    return (int(reach[:, 0].min()), int(reach[:, 1].max())) if len(reach) else None


def exact_masks(
    low: Tensor, resize: Callable[[Tensor], Tensor], n_pixels: int, threshold: float, offset: float
) -> Iterator[FullSize | None]:
    """The same from (m, h, w) as the reference computes it: whole masks, interpolated by ``resize`` to (m, H, W)."""
    step = max(1, WHOLE_VALUES // n_pixels)
    for start in range(0, len(low), step):
        for logits in resize(low[start : start + step]):
            inner = int(torch.count_nonzero(logits > threshold + offset))
            outer = int(torch.count_nonzero(logits > threshold - offset))
            pixels = (logits > threshold).cpu().numpy()
            yield FullSize(pixels, (0, 0), inner / outer) if outer and pixels.any() else None


def low_resolution_stability(low: Tensor, threshold: float, offset: float) -> Tensor:
    """Stability of masks (m, h, w) on these logits themselves: (m), 0 where nothing is above the lower cut-off."""
    inner = (low > threshold + offset).sum(dim=(1, 2))
    outer = (low > threshold - offset).sum(dim=(1, 2))
    return inner / outer.clamp(min=1)
