"""The id raster: which mask a pixel belongs to, as one number.

Where masks lie over one another, the pixel has the id of the smallest: ids run from the largest mask to the smallest,
so that is the highest id there. 0 is no mask. Rasters are made in strips of rows and never wholly in memory.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.inference.geo import geo, open_raster
from headstart.inference.pictures import save_picture
from headstart.inference.raster_output import created_like
from headstart.sam.files import ImageMasks
from headstart.sam.merge import common
from headstart.sam.record import XYXY, Mask, runs_in_image

STRIP_ROWS = 512
MOST_PNG_IDS = 256**3 - 1


def id_strips(image: ImageMasks, rows: int = STRIP_ROWS) -> Iterator[tuple[int, np.ndarray]]:
    """(top, uint32 (h, width)) of each strip of ``rows`` rows, from the top down."""
    height, width = image.size
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield top, ids_within(image.masks, (0, top, width, bottom))


def ids_within(masks: Sequence[Mask], window: XYXY) -> np.ndarray:
    """The id raster of a window of the image, uint32 (h, w), of masks that are sorted from the largest."""
    x0, y0, x1, y1 = window
    ids = np.zeros((y1 - y0, x1 - x0), dtype=np.uint32)
    for number, mask in enumerate(masks, 1):
        left, top, right, bottom = common(mask.bbox, window)
        if left >= right or top >= bottom:
            continue
        pixels = runs_in_image(mask).drawn((left, top, right, bottom))
        ids[top - y0 : bottom - y0, left - x0 : right - x0][pixels] = number
    return ids


def id_array(image: ImageMasks) -> np.ndarray:
    """The whole id raster: uint32 (height, width)."""
    return np.concatenate([strip for _, strip in id_strips(image)])


def packed_rgb(ids: np.ndarray) -> np.ndarray:
    """Ids (h, w) up to 256**3 - 1 as uint8 (h, w, 3): id = R + 256 G + 65536 B, as in COCO's panoptic files."""
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], axis=-1).astype(np.uint8)


def unpacked_rgb(pixels: np.ndarray) -> np.ndarray:
    """The ids uint32 (h, w) of ``packed_rgb``'s pixels."""
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
    ids: np.ndarray = red + 256 * green + 65536 * blue
    return ids


def write_ids(path: Path, image: ImageMasks, like: Any = None) -> None:
    """Write the id raster, whole or not at all: by the ending of ``path`` an RGB PNG or a uint32 TIFF.

    ``like`` is the open raster whose place, layout and compression a GeoTIFF takes. MissingExtraError without rasterio,
    where a TIFF is asked for.
    """
    if path.suffix == ".png":
        save_picture(packed_rgb(id_array(image)), path)
        return
    beside = path.with_name(f"{path.stem}.part{path.suffix}")
    layout: dict[str, Any] = {"count": 1, "dtype": "uint32", "nodata": 0}
    if like is None:
        size = {"height": image.size[0], "width": image.size[1]}
        output = open_raster(beside, "w", driver="GTiff", compress="deflate", **size, **layout)
    else:
        output = created_like(like, beside, compress="deflate", **layout)
    window = geo("rasterio.windows").Window
    with output:
        output.set_band_description(1, "mask id")
        block = int(output.block_shapes[0][0])
        for top, ids in id_strips(image, -(-STRIP_ROWS // block) * block):
            output.write(ids, 1, window=window(0, top, ids.shape[1], ids.shape[0]))
    beside.replace(path)
