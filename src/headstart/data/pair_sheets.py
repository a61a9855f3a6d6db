"""Sheets of images with their masks, in the palette's colours."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import DecodeError, Pixels
from headstart.data.masks import read_mask
from headstart.data.pairs import PairSet
from headstart.data.palettes import Palette
from headstart.data.rasters import read_image
from headstart.data.sheets import CELL_SIZES, pair_sheet
from headstart.data.splits import shuffled

NO_CLASS = (128, 128, 128)
"""Colour of mask pixels that are no class of the palette, such as those beyond the edge of an image."""


def pair_sample_sheet(
    pairs: PairSet, palette: Palette, path: Path, count: int = 12, seed: int = 0, nearest: bool = False
) -> tuple[str, ...]:
    """Save a PNG sheet of images, each with its mask beside it, under 600 kB, and return the images' names, in order.

    Up to ``count`` pairs are drawn by ``seed``. Pairs that cannot be decoded are passed over; where that is all of
    them, there is no sheet and the result is empty.
    """
    shown: dict[str, tuple[Pixels, Pixels]] = {}
    for i in shuffled(len(pairs), seed, "sheet").tolist():
        if len(shown) == count:
            break
        try:
            image = read_image(pairs.images.path(i))
            indices = read_mask(pairs.masks.path(i), palette, nearest)
        except DecodeError:  # the check of the pairs tells of these
            continue
        mask = Image.fromarray(in_colours(indices, palette))
        size = thumbnail_size(mask.size, CELL_SIZES[0])
        small = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
        shown[pairs.images.names[i]] = np.asarray(small), np.asarray(mask.resize(size, Image.Resampling.NEAREST))
    if shown:
        pair_sheet(list(shown.values()), path)
    return tuple(shown)


def in_colours(indices: NDArray[np.integer], palette: Palette) -> Pixels:
    """Class indices (H, W) as (H, W, 3) uint8 RGB; grey where an index is no class of the palette."""
    known = indices < len(palette.classes)
    colours = palette.to_colours(np.where(known, indices, 0))
    colours[~known] = NO_CLASS
    return colours


def thumbnail_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height of an image of ``size`` when its longer side becomes ``side`` pixels; no smaller than 1."""
    share = side / max(size)
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))
