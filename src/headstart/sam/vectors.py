"""Masks as polygons along the edges of their pixels, one feature a mask, for GIS programs."""

from pathlib import Path
from typing import Any

import numpy as np

from headstart.inference.geo import geo
from headstart.inference.polygons import Place, Regions, find_regions, write_features
from headstart.sam.files import ImageMasks
from headstart.sam.record import Mask, runs_in_image

LAYER = "masks"
BAND_PIXELS = 1 << 24
"""Pixels of a mask's box that are drawn at a time; the outlines of several bands are joined."""


def write_mask_polygons(image: ImageMasks, place: Place, path: Path) -> int:
    """Write the masks as GeoPackage or GeoJSON, by the ending of ``path``; their number.

    Attributes: ``id`` (in the id raster and the JSON), ``area`` (as ``Place.areas`` has it), ``area_px``,
    ``predicted_iou``, ``stability_score``. Nothing is simplified, so the polygons drawn again are the masks.
    Coordinates are those of ``place``'s CRS, longitude and latitude in GeoJSON, pixels where there is none.
    MissingExtraError without rasterio, shapely or pyogrio.
    """
    shapely = geo("shapely")
    parts = [outlines(mask) for mask in image.masks]
    owner = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
    pieces = np.concatenate(parts) if parts else np.zeros(0, dtype=object)
    pixels = np.rint(shapely.area(pieces)).astype(np.int64)
    areas = place.areas(Regions(pieces, np.ones(len(pieces), dtype=np.int64), pixels))
    shapes = shapely.multipolygons(place.located(pieces), indices=owner) if len(pieces) else pieces
    columns = {
        "id": np.arange(1, len(parts) + 1),
        "area": np.bincount(owner, areas, minlength=len(parts)),
        "area_px": np.array([mask.area for mask in image.masks], dtype=np.int64),
        "predicted_iou": np.array([mask.predicted_iou for mask in image.masks], dtype=np.float64),
        "stability_score": np.array([mask.stability for mask in image.masks], dtype=np.float64),
    }
    write_features(path, shapes, columns, place, LAYER, "MultiPolygon")
    return len(parts)


def outlines(mask: Mask) -> np.ndarray:
    """The polygons of a mask in pixels of its image, an object array: pixels connected over edges are in one."""
    shapely = geo("shapely")
    x0, y0, x1, y1 = mask.bbox
    rows = max(1, BAND_PIXELS // (x1 - x0))
    runs = runs_in_image(mask)
    bands = []
    for top in range(y0, y1, rows):
        drawn = runs.drawn((x0, top, x1, min(top + rows, y1)))
        regions = find_regions(drawn.astype(np.uint8))
        bands.append(shapely.transform(regions.shapes[regions.values == 1], _shift(x0, top)))
    if len(bands) == 1:
        whole: np.ndarray = bands[0]
        return whole
    seamless = shapely.simplify(shapely.union_all(np.concatenate(bands)), 0)  # without corners along the seams
    pieces: np.ndarray = shapely.get_parts(seamless)
    return pieces


def _shift(x: int, y: int) -> Any:
    return lambda coordinates: coordinates + np.array([x, y])
