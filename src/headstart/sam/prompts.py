"""Where the prompts of automatic masks lie: grids of points, crops of the image (Kirillov et al. 2023, appendix B).

The numbers are those of segment-anything's ``build_all_layer_point_grids``, ``generate_crop_boxes`` and
``is_box_near_crop_edge``. No PyTorch.
"""

import math
from itertools import product

import numpy as np

from headstart.sam.record import XYXY

EDGE_PX = 20
"""Boxes that come this near to the edge of a crop are taken to be cut off by it."""


def point_grid(per_side: int) -> np.ndarray:
    """``per_side`` squared points (x, y), row by row, evenly spaced in [0, 1]: float64 (n, 2)."""
    places = (np.arange(per_side) + 0.5) / per_side
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)


def points_per_side(per_side: int, layer: int, downscale: int) -> int:
    """Points along the side of the grid of a crop in a layer (0: the whole image), at least 1."""
    return max(1, int(per_side / downscale**layer))


def crop_boxes(size: tuple[int, int], layers: int, overlap_ratio: float) -> list[tuple[XYXY, int]]:
    """Crops of an image of ``size`` (height, width) with their layers, the whole image (layer 0) first.

    Layer n has 2**n crops a side, whose overlap is ``overlap_ratio`` of the shorter side divided by 2**(n - 1).
    """
    height, width = size
    boxes = [((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        a_side = 2**layer
        overlap = int(overlap_ratio * min(size) * (2 / a_side))
        crop_w, crop_h = (math.ceil((overlap * (a_side - 1) + length) / a_side) for length in (width, height))
        for i, j in product(range(a_side), repeat=2):
            x0, y0 = int((crop_w - overlap) * i), int((crop_h - overlap) * j)
            box = (x0, y0, min(x0 + crop_w, width), min(y0 + crop_h, height))
            if box[2] > x0 and box[3] > y0:
                boxes.append((box, layer))
    return boxes


def cut_off(bbox: XYXY, crop: XYXY, size: tuple[int, int]) -> bool:
    """Whether a mask's box lies at an edge of its crop that is not an edge of the image."""
    inclusive = (bbox[0], bbox[1], bbox[2] - 1, bbox[3] - 1)  # as the reference counts boxes
    image = (0, 0, size[1], size[0])
    return any(
        abs(edge - of_crop) <= EDGE_PX < abs(edge - of_image)
        for edge, of_crop, of_image in zip(inclusive, crop, image, strict=True)
    )
