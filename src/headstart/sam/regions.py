"""Small holes and small separate parts of masks, as segment-anything's ``remove_small_regions`` treats them."""

import numpy as np
from scipy import ndimage

from headstart.sam.record import Mask, dense_in_bbox, mask_of

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=int)


def cleaned(mask: Mask, min_area: int) -> tuple[Mask, bool]:
    """The mask with holes of fewer than ``min_area`` pixels filled, then parts of fewer removed; whether it had any.

    Where every part is that small, the largest is kept. Neighbours are 8. What surrounds the mask counts as a hole too
    if it is that small, so the box is looked at with ``min_area`` pixels around it.
    """
    height, width = mask.image_size
    x0, y0, x1, y1 = mask.bbox
    left, top = min(min_area, x0), min(min_area, y0)
    right, bottom = min(min_area, width - x1), min(min_area, height - y1)
    pixels = np.pad(dense_in_bbox(mask), ((top, bottom), (left, right)))
    holes = _small(~pixels, min_area)
    pixels |= holes
    islands = _small(pixels, min_area)
    if not (holes.any() or islands.any()):
        return mask, False
    pixels = _largest(pixels) if np.array_equal(islands, pixels) else pixels & ~islands
    tidy = mask_of(
        pixels,
        mask.image_size,
        (x0 - left, y0 - top),
        predicted_iou=mask.predicted_iou,
        stability=mask.stability,
        point=mask.point,
        crop=mask.crop,
    )
    return tidy, True


def _small(pixels: np.ndarray, min_area: int) -> np.ndarray:
    """The connected parts of fewer than ``min_area`` pixels."""
    labels, n = ndimage.label(pixels, structure=EIGHT_NEIGHBOURS)
    small = np.bincount(labels.ravel(), minlength=n + 1) < min_area
    small[0] = False
    return np.asarray(small[labels])


def _largest(pixels: np.ndarray) -> np.ndarray:
    """The largest connected part, the first of several."""
    labels, _ = ndimage.label(pixels, structure=EIGHT_NEIGHBOURS)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())
