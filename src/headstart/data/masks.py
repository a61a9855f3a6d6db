"""Mask files to class indices: single-channel masks are values, all others are colours.

- Modes 1, L, LA, P, PA, I and I;16, and single-band rasters, are *values*: the numbers as they are stored. Grey PNGs
  and TIFFs of 2 or 4 bits, which Pillow spreads over 0 to 255, are read back to what is stored; of a palette PNG the
  numbers count, not its colours. Floating-point masks must hold whole numbers.
- RGB and whatever else has three channels is *colours*. Transparency is not looked at: a mask is what it says below it.
- EXIF orientation is applied, as to the image.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from headstart.data.decode import FORMATS, MAX_PIXELS, DecodeError, failure, is_tiff, reason_of, refuse_special, upright
from headstart.data.palettes import Palette
from headstart.data.rasters import has_further_bands, read_bands, read_stored
from headstart.errors import DataError

VALUE_MODES = ("1", "L", "LA", "P", "PA", "I", "F")
"""Pillow's modes that are read as values, and all that begin with I;16."""
SPREAD = {";2": 85, ";4": 17}
"""End of Pillow's raw mode -> what it multiplied grey samples of so few bits by, so that they fill 8."""


def read_mask(path: Path, palette: Palette, nearest: bool = False) -> np.ndarray:
    """Class indices (H, W) uint8 of the mask in ``path``, the ignored class last (``palette.n_scored``).

    DecodeError when the file cannot be read; DataError, with the path, when it has colours or values that are no class
    (see ``Palette.to_indices`` for ``nearest``).
    """
    try:
        return palette.to_indices(read_labels(path), nearest)
    except DecodeError:
        raise
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_labels(path: Path) -> np.ndarray:
    """What a mask file holds: colours (H, W, 3) uint8, or values (H, W) of an integer type. DecodeError."""
    try:
        refuse_special(path)
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DecodeError(path, f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}")
            if has_further_bands(image):
                return read_bands(path, MAX_PIXELS)
            spread = _spread(image)
            image.load()
            return _labels(upright(image), spread)
    except DecodeError:
        raise
    except UnidentifiedImageError as error:
        if not is_tiff(path):
            raise DecodeError(path, reason_of(error)) from error
        return _by_rasterio(path)
    except Exception as error:  # Pillow's readers raise a dozen unrelated kinds on damaged files
        raise failure(path, error) from error


def is_values(labels: np.ndarray) -> bool:
    """Whether ``read_labels`` gave values, not colours."""
    return labels.ndim == 2


def _by_rasterio(path: Path) -> np.ndarray:
    try:
        labels = read_stored(path, MAX_PIXELS)
        return _whole(labels) if is_values(labels) else labels
    except Exception as error:  # GDAL's drivers raise as many kinds as Pillow's
        raise failure(path, error) from error


def _spread(image: Image.Image) -> int:
    """What grey samples were multiplied by on loading; known only before that."""
    if image.mode != "L":
        return 1
    tiles: list[Any] = getattr(image, "tile", [])
    raw = str(tiles[0][3] if isinstance(tiles[0][3], str) else tiles[0][3][0]) if tiles else ""
    return next((factor for end, factor in SPREAD.items() if raw.endswith(end)), 1)


def _labels(image: Image.Image, spread: int) -> np.ndarray:
    if image.mode in VALUE_MODES or image.mode.startswith("I;16"):
        values = np.array(image)
        values = values[..., 0] if values.ndim == 3 else values
        return _whole(values) // values.dtype.type(spread) if spread > 1 else _whole(values)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _whole(values: np.ndarray) -> np.ndarray:
    """``values`` as integers. DataError when a floating-point value is not a whole number."""
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if np.issubdtype(values.dtype, np.integer):
        return values
    if not np.isfinite(values).all() or not (values == np.rint(values)).all():
        raise DataError("a mask of floating-point numbers that are not all whole; save class numbers as integers")
    return values.astype(np.int64)
