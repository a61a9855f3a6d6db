"""Images no larger than any view of them needs: what trainings read, and what a pack holds.

JPEGs are decoded at a reduced scale where that is exact enough; images are then resized so that their shorter side is
the least with which no view has to enlarge what it crops. Smaller images stay as they are.
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.configs.views import ViewsConfig
from headstart.data.decode import Pixels, decode, failure
from headstart.data.imageset import ImageSet

SMALLEST_SCALE = 0.2
"""Views of no crop, or of none as small as this, are read as if there were such: one pack serves all of them."""
NARROWEST = 3 / 4
"""Width over height of the narrowest random crop (torchvision's RandomResizedCrop)."""
DRAFT_FACTOR = 2
"""How many times ``side`` a JPEG decoded at a reduced scale still has (docs/decisions/0006-pack.md: measured)."""
WITHOUT_CROPS = ("none", "trivial")
"""Styles of views that resize an image and cut out its middle."""


def side_for(views: ViewsConfig, image_size: int) -> int:
    """Pixels of the shorter side of an image that views of ``image_size`` pixels can make use of.

    The smallest crop of a square of side s has an area of ``scale * s**2`` and, at the narrowest, a width of
    ``s * sqrt(3/4 * scale)``; that is ``image_size`` here, so that no crop is enlarged. Images that are not square have
    larger crops.
    """
    if views.style in WITHOUT_CROPS:
        return image_size
    return math.ceil(image_size / math.sqrt(NARROWEST * min(SMALLEST_SCALE, views.crop_scale[0])))


def reduced_size(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) that an image is reduced to: the shorter is ``side``, the longer rounded down; never enlarged."""
    shorter, longer = min(height, width), max(height, width)
    if shorter <= side:
        return height, width
    scaled = int(side * longer / shorter)  # torchvision's Resize rounds so
    return (scaled, side) if height > width else (side, scaled)


def decode_reduced(path: Path, side: int) -> Pixels:
    """The image in ``path`` as ``decode`` gives it, reduced so that its shorter side has ``side`` pixels at most.

    Bicubic with antialiasing. Raises what ``decode`` raises.
    """
    pixels = decode(path, draft=DRAFT_FACTOR * side)
    height, width = pixels.shape[:2]
    size = reduced_size(height, width, side)
    if size == (height, width):
        return pixels
    try:
        return np.array(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC))
    except MemoryError as error:
        raise failure(path, error) from error


def decode_as_asked(images: ImageSet, path: Path) -> Pixels:
    """The image in a file of ``images`` as the set is read: whole, or reduced. Raises what ``decode`` raises."""
    return decode(path) if images.side is None else decode_reduced(path, images.side)
