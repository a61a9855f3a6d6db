"""The picture for people: the image with every mask tinted, and its outline drawn."""

import colorsys

import numpy as np
from PIL import Image

from headstart.sam.files import ImageMasks
from headstart.sam.ids import id_strips

SMALLEST_SIDE_PX = 512
"""Smaller images are enlarged by a whole number, up to about this side, so that outlines can be told apart."""
TINT = 0.38
GOLDEN_TURN = 0.618033988749895
LEVELS = ((0.95, 1.0), (0.75, 0.85), (1.0, 0.7), (0.6, 1.0))
"""Saturation and value of neighbouring ids' colours."""


def overlay(pixels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """``pixels`` uint8 (h, w, 3) with the masks of ``ids`` uint32 (h, w): uint8, of the same size or enlarged.

    Each mask is tinted in a colour of its own and outlined in it; a white line keeps outlines apart from the image.
    """
    times = max(1, SMALLEST_SIDE_PX // max(ids.shape))
    if times > 1:
        height, width = ids.shape
        pixels = np.asarray(Image.fromarray(pixels).resize((width * times, height * times), Image.Resampling.BICUBIC))
        ids = ids.repeat(times, axis=0).repeat(times, axis=1)
    numbers, place = np.unique(ids, return_inverse=True)
    place = place.reshape(ids.shape)
    colours = np.array([colour_of(int(number)) for number in numbers], dtype=np.float32)
    strength = np.where(numbers == 0, 0, TINT).astype(np.float32)[place][..., None]
    drawn = pixels * (1 - strength) + colours[place] * strength
    border = borders(ids)
    inside = border & (ids > 0)
    near = widened(border) & ~inside
    drawn[near & (ids == 0)] = 255
    drawn[inside] = colours[place[inside]] * 0.85
    result: np.ndarray = drawn.round().astype(np.uint8)
    return result


def borders(ids: np.ndarray) -> np.ndarray:
    """Pixels beside one of another id, over edges: bool (h, w), on both sides of every border."""
    found = np.zeros(ids.shape, dtype=bool)
    across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


def widened(marked: np.ndarray) -> np.ndarray:
    """``marked`` and the pixels beside, over edges: bool (h, w)."""
    wide = marked.copy()
    wide[:, 1:] |= marked[:, :-1]
    wide[:, :-1] |= marked[:, 1:]
    wide[1:] |= marked[:-1]
    wide[:-1] |= marked[1:]
    return wide


def colour_of(number: int) -> tuple[int, int, int]:
    """RGB of an id: neighbours in number are far apart in hue, and differ in brightness too."""
    saturation, value = LEVELS[number % len(LEVELS)]
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_TURN % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def shown_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(height, width) of ``size`` made smaller, where it must be, to a longest side of ``longest`` pixels."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def sampled_ids(image: ImageMasks, size: tuple[int, int]) -> np.ndarray:
    """The id raster at ``size`` (height, width): uint32, the id at the middle of each of its pixels."""
    rows, cols = (((np.arange(n) + 0.5) * whole / n).astype(int) for n, whole in zip(size, image.size, strict=True))
    ids = np.zeros(size, dtype=np.uint32)
    for top, strip in id_strips(image):
        chosen = (rows >= top) & (rows < top + len(strip))
        ids[chosen] = strip[rows[chosen] - top][:, cols]
    return ids
