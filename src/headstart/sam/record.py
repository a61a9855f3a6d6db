"""One mask of an image: what every part of ``sam`` hands to the next. No PyTorch.

A mask is stored as the run-length encoding of its bounding box only, so that a mask of a large raster never needs a
bitmap of the raster's size; ``coco_rle`` gives the encoding of the whole image where a file format asks for it.
"""

from dataclasses import dataclass, replace

import numpy as np

from headstart.sam.runs import XYXY, Rle, Runs, decoded, encoded, runs_of

__all__ = ["XYXY", "Mask", "Rle", "coco_rle", "dense", "dense_in_bbox", "encoded", "mask_of", "moved", "runs_in_image"]


@dataclass(frozen=True)
class Mask:
    """A mask as ``SamAutomaticMaskGenerator`` describes one (Kirillov et al. 2023, section 5 and appendix B).

    Attributes:
        image_size: (height, width) of the whole image in pixels.
        bbox: XYXY, the smallest box around the mask, in pixels of the image.
        rle: of the pixels within ``bbox``; its size is that of the box.
        area: number of pixels, at least 1.
        predicted_iou: the model's own estimate of the mask's IoU.
        stability: IoU of the masks at a raised and a lowered threshold (segment-anything's ``stability_score``).
        point: (x, y) in pixels of the image, the prompt that the mask answers.
        crop: XYXY of the crop or tile of the image that the model saw.
        category_id: the class that a segmentation model favours in it, from 1; None where none was asked.
        class_probability: mean of the model's probability of that class over the mask, in [0, 1].
    """

    image_size: tuple[int, int]
    bbox: XYXY
    rle: Rle
    area: int
    predicted_iou: float
    stability: float
    point: tuple[float, float]
    crop: XYXY
    category_id: int | None = None
    class_probability: float | None = None


def mask_of(
    dense: np.ndarray,
    image_size: tuple[int, int],
    offset: tuple[int, int] = (0, 0),
    *,
    predicted_iou: float,
    stability: float,
    point: tuple[float, float],
    crop: XYXY,
) -> Mask:
    """The record of a bitmap ``dense``, bool (h, w), whose upper left pixel lies at ``offset`` (x, y) of the image.

    ``point`` and ``crop`` are in pixels of the image, not of ``dense``. ValueError where no pixel is set.
    """
    box = bounding_box(dense)
    if box is None:
        raise ValueError("a mask needs at least one pixel")
    x0, y0, x1, y1 = box
    window = dense[y0:y1, x0:x1]
    dx, dy = offset
    return Mask(
        image_size=image_size,
        bbox=(x0 + dx, y0 + dy, x1 + dx, y1 + dy),
        rle=encoded(window),
        area=int(np.count_nonzero(window)),
        predicted_iou=float(predicted_iou),
        stability=float(stability),
        point=(float(point[0]), float(point[1])),
        crop=crop,
    )


def bounding_box(dense: np.ndarray) -> XYXY | None:
    """XYXY of the set pixels of a bool array (h, w); None where there are none."""
    rows, cols = np.flatnonzero(dense.any(axis=1)), np.flatnonzero(dense.any(axis=0))
    if not len(rows):
        return None
    return int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1


def dense_in_bbox(mask: Mask) -> np.ndarray:
    """The pixels within ``mask.bbox``: bool (y1 - y0, x1 - x0)."""
    return decoded(mask.rle)


def dense(mask: Mask) -> np.ndarray:
    """The pixels of the whole image: bool (height, width). For large rasters take ``dense_in_bbox`` or the runs."""
    pixels = np.zeros(mask.image_size, dtype=bool)
    x0, y0, x1, y1 = mask.bbox
    pixels[y0:y1, x0:x1] = dense_in_bbox(mask)
    return pixels


def runs_in_image(mask: Mask) -> Runs:
    """The runs of a mask in pixels of the image."""
    return runs_of(mask.rle).moved(mask.bbox[0], mask.bbox[1])


def coco_rle(mask: Mask) -> Rle:
    """The compressed RLE of the whole image, made from the runs alone. For images of up to 2**32 - 1 pixels."""
    return runs_in_image(mask).rle(mask.image_size)


def with_runs(mask: Mask, runs: Runs) -> Mask:
    """``mask`` with other pixels: at least one run, in pixels of the image."""
    x0, y0, x1, y1 = runs.bbox
    rle = runs.moved(-x0, -y0).rle((y1 - y0, x1 - x0))
    return replace(mask, bbox=runs.bbox, rle=rle, area=runs.area)


def moved(mask: Mask, offset: tuple[int, int], image_size: tuple[int, int]) -> Mask:
    """The mask of a window as one of the image of ``image_size`` in which the window begins at ``offset`` (x, y)."""
    dx, dy = offset
    (x0, y0, x1, y1), (cx0, cy0, cx1, cy1) = mask.bbox, mask.crop
    return replace(
        mask,
        image_size=image_size,
        bbox=(x0 + dx, y0 + dy, x1 + dx, y1 + dy),
        point=(mask.point[0] + dx, mask.point[1] + dy),
        crop=(cx0 + dx, cy0 + dy, cx1 + dx, cy1 + dy),
    )
