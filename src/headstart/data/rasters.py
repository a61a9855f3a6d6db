"""What Pillow cannot read as it is meant: GeoTIFFs of more than three bands, of other layouts, or of wide samples."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from headstart.errors import DataError, MissingExtraError

TIFF_SUFFIXES = (".tif", ".tiff")
SAMPLES_PER_PIXEL = 277
GEO_TAGS = (33550, 33922, 34264, 34735)
"""Pixel scale, tie points, transformation, keys (GeoTIFF 1.1): a TIFF with one of these is a GeoTIFF."""


def has_further_bands(image: Image.Image) -> bool:
    """Whether an opened file is a GeoTIFF of more than three bands. GDAL marks a fourth band as transparency unless
    told otherwise, so that near infrared would be taken for it.
    """
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(SAMPLES_PER_PIXEL, 1) > 3 and any(tag in tags for tag in GEO_TAGS)


def read_bands(path: Path, max_pixels: int) -> np.ndarray:
    """The first three bands of a GeoTIFF as (H, W, 3) uint8; a raster of one or two bands is grey by its first.

    DataError with the reason where that cannot be; MissingExtraError without rasterio.
    """
    with _opened(path, max_pixels) as raster:
        wanted = [1, 2, 3] if raster.count >= 3 else [1, 1, 1]
        kinds = sorted({raster.dtypes[band - 1] for band in wanted})
        if kinds != ["uint8"]:
            raise DataError(
                f"its bands are {', '.join(kinds)}, not 8 bit; convert it, as with "
                "gdal_translate -ot Byte -scale LOW HIGH 0 255, with the same LOW and HIGH for all files"
            )
        return np.ascontiguousarray(np.moveaxis(raster.read(wanted), 0, 2))


def read_stored(path: Path, max_pixels: int) -> np.ndarray:
    """The one band of a raster as it is stored, (H, W) of any number type; of several, as ``read_bands`` does."""
    with _opened(path, max_pixels) as raster:
        if raster.count == 1:
            band: np.ndarray = raster.read(1)
            return band
    return read_bands(path, max_pixels)


def open_geotiff(path: Path) -> Any:
    """rasterio's dataset of a GeoTIFF, and of nothing that merely has its name.

    GDAL tells formats by content, and some of them (VRT, WMS) are lists of other files and addresses, which it would
    then read; it would also take one for a mask where it lies beside as NAME.msk. DataError for such a mask, OSError
    (of rasterio) for such a file, MissingExtraError without rasterio.
    """
    try:
        import rasterio
    except ImportError as error:
        raise MissingExtraError("rasterio", "geo") from error
    mask = path.with_name(path.name + ".msk")
    if mask.is_file() and not begins_like_tiff(mask):
        raise DataError(f"{mask} is not a TIFF, and would be read as the mask of the raster beside it; take it away")
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)  # no fault of an image
    return rasterio.open(path, driver="GTiff")


def begins_like_tiff(path: Path) -> bool:
    """Whether a file's first two bytes are those of a TIFF."""
    with path.open("rb") as stream:
        return stream.read(2) in (b"II", b"MM")


def _opened(path: Path, max_pixels: int) -> Any:
    raster = open_geotiff(path)
    if raster.width * raster.height > max_pixels:
        raster.close()
        raise DataError(f"{raster.width} x {raster.height} pixels are more than {max_pixels}; cut it into tiles")
    return raster


def read_image(path: Path) -> np.ndarray:
    """The image in ``path`` as ``decode`` gives it: (H, W, 3) uint8."""
    from headstart.data.decode import decode

    return decode(path)
