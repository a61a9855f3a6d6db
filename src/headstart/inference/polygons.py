"""Class polygons from a class raster: one for each connected region, with its class and its area."""

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.data.palettes import Palette
from headstart.inference.geo import geo, open_raster

logger = logging.getLogger(__name__)

COVERAGE_CORNERS = 4_000_000
"""Simplifying a coverage takes some 400 bytes for each corner; beyond this many, polygons are simplified one by one."""
DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON"}
LAYER = "classes"
WGS84_AXIS_M = 6_378_137.0
WGS84_FLATTENING = 1 / 298.257223563


@dataclass(frozen=True)
class Regions:
    """Connected regions (over edges, not corners) of equal value, in pixel coordinates: x to the right, y down.

    ``shapes`` are shapely polygons, ``values`` int64, ``pixels`` int64, all (n,).
    """

    shapes: Any
    values: np.ndarray
    pixels: np.ndarray

    def chosen(self, which: np.ndarray) -> "Regions":
        """The regions at which the bool array (n,) is true."""
        return Regions(self.shapes[which], self.values[which], self.pixels[which])


@dataclass(frozen=True)
class Place:
    """Where a raster lies: from pixel coordinates to those of ``crs``, or nowhere (both None)."""

    transform: Any = None
    crs: Any = None

    @classmethod
    def of(cls, raster: Any) -> "Place":
        """The place of an open raster."""
        placed = raster.crs is not None and not raster.transform.is_identity
        return cls(raster.transform, raster.crs) if placed else cls()

    def located(self, shapes: Any) -> Any:
        """``shapes`` in the coordinates of the CRS."""
        return shapes if self.transform is None else geo("shapely").transform(shapes, _affine(self.transform))

    def areas(self, regions: Regions) -> np.ndarray:
        """float64 (n,): in square metres on the WGS 84 ellipsoid for longitude and latitude, else in the square of the
        CRS's unit, or in pixels where there is no CRS.
        """
        if self.crs is None:
            return regions.pixels.astype(np.float64)
        if self.crs.is_geographic:
            return geodesic_areas(self.located(regions.shapes), float(self.crs.units_factor[1]))
        return regions.pixels * abs(float(self.transform.determinant))


def write_polygons(
    source: Path | np.ndarray, palette: Palette, path: Path, simplify: float = 0.0, min_pixels: int = 0
) -> int:
    """Write the regions of a class raster as GeoPackage or GeoJSON, by the ending of ``path``; their number.

    Attributes: ``class`` (name), ``value`` (in the raster), ``area`` (see ``Place.areas``) and ``area_px``, both before
    simplification. Nodata, and regions of fewer than ``min_pixels``, are left out.

    Args:
        source: class raster of the palette's values: a file, or an array (H, W), uint8 or uint16.
        simplify: tolerance in pixels; neighbours keep sharing their borders, and the raster's edge stays as it is. 0
            keeps every corner.

    A GeoJSON file is in longitude and latitude (WGS 84), as RFC 7946 demands; without a CRS both kinds are in pixels.
    The file appears whole or not at all. Raises MissingExtraError without rasterio, shapely or pyogrio.
    """
    if isinstance(source, Path):
        with open_raster(source) as raster:
            place = Place.of(raster)
            regions, nodata = find_regions(geo("rasterio").band(raster, 1), raster.transform), raster.nodata
    else:
        place, regions, nodata = Place(), find_regions(source), None
    kept = regions.pixels >= min_pixels
    if nodata is not None:
        kept &= regions.values != nodata
    areas = place.areas(regions.chosen(kept))
    shapes = place.located(simplified(regions.shapes, simplify)[kept])
    chosen = regions.chosen(kept)
    names = dict(zip(palette.values, palette.classes, strict=True))
    columns = {
        "class": np.array([names[value] for value in chosen.values.tolist()], dtype=object),
        "value": chosen.values,
        "area": areas,
        "area_px": chosen.pixels,
    }
    write_features(path, shapes, columns, place, LAYER, "Polygon")
    return int(kept.sum())


def find_regions(source: Any, transform: Any = None) -> Regions:
    """The regions of an array, or of a rasterio band with the ``transform`` of its raster.

    Memory grows with the number of corners, not with the pixels of a band.
    """
    shapely = geo("shapely")
    shapes, values = [], []
    for outline, value in geo("rasterio.features").shapes(source, connectivity=4):
        exterior, *holes = outline["coordinates"]
        shapes.append(shapely.Polygon(exterior, holes))
        values.append(int(value))
    array = np.array(shapes, dtype=object)
    if transform is not None:  # GDAL gives the polygons of a band in the coordinates of its raster
        back = _affine(~transform)
        array = shapely.transform(array, lambda xy: np.rint(back(xy)))
    return Regions(array, np.array(values, dtype=np.int64), np.rint(shapely.area(array)).astype(np.int64))


def _affine(transform: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The affine transform as a function of coordinates (n, 2)."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return lambda xy: xy @ np.array([[a, d], [b, e]]) + np.array([c, f])


def simplified(shapes: Any, tolerance: float) -> Any:
    """Polygons of a gapless raster with fewer corners, in their order.

    Borders between two polygons stay common to both (Visvalingam and Whyatt's algorithm on the whole coverage: corners
    go whose triangle with their neighbours is smaller than tolerance squared). Where shapely or the memory does not
    allow that, each is simplified by itself (Douglas and Peucker), and slivers up to the tolerance open between them.
    """
    shapely = geo("shapely")
    if tolerance == 0 or not len(shapes):
        return shapes
    corners = int(shapely.length(shapes).sum())
    if not hasattr(shapely, "coverage_simplify") or corners > COVERAGE_CORNERS:
        logger.warning(
            "Polygons with borders of %d pixels in all are simplified one by one: there may be gaps and overlaps of up "
            "to %g pixels between them. --simplify 0 keeps borders exact.",
            corners,
            tolerance,
        )
        return shapely.simplify(shapes, tolerance)
    joined = shapely.segmentize(shapes, 1.0)  # a corner of one is a corner of its neighbours too
    common = shapely.coverage_simplify(joined, tolerance, simplify_boundary=False)
    return shapely.simplify(common, 0)  # corners in the middle of a straight edge


def geodesic_areas(polygons: Any, unit: float) -> np.ndarray:
    """Areas in square metres on the WGS 84 ellipsoid of polygons in longitude and latitude: float64 (n,).

    ``unit`` is that of the coordinates in radians. Edges are straight in longitude and latitude; the areas of pixels
    along meridians and parallels are exact (the integral of the area between a parallel and the equator).
    """
    shapely = geo("shapely")
    rings, owner = shapely.get_rings(polygons, return_index=True)
    places, ring = shapely.get_coordinates(rings, return_index=True)
    longitude, latitude = (places * unit).T
    below = _area_to_equator(latitude)
    along = ring[1:] == ring[:-1]
    strips = np.where(along, (below[1:] + below[:-1]) / 2 * np.diff(longitude), 0)
    areas = np.abs(np.bincount(ring[1:], strips, minlength=len(rings)))
    first = np.r_[True, owner[1:] != owner[:-1]] if len(owner) else np.zeros(0, dtype=bool)
    result: np.ndarray = np.bincount(owner, np.where(first, areas, -areas), minlength=len(polygons))
    return result


def _area_to_equator(latitude: np.ndarray) -> np.ndarray:
    """Square metres between latitudes (radians) and the equator, for 1 radian of longitude (Snyder, 1987, 3-12)."""
    eccentricity = np.sqrt(WGS84_FLATTENING * (2 - WGS84_FLATTENING))
    sine = np.sin(latitude)
    q = sine / (1 - (eccentricity * sine) ** 2) + np.arctanh(eccentricity * sine) / eccentricity
    area: np.ndarray = WGS84_AXIS_M**2 * (1 - eccentricity**2) / 2 * q
    return area


def write_features(
    path: Path, shapes: Any, columns: Mapping[str, np.ndarray], place: Place, layer: str, kind: str
) -> None:
    """Write shapely geometries of one ``kind`` (Polygon, MultiPolygon) with their attributes, whole or not at all.

    ``shapes`` (n,) are in the coordinates of ``place``'s CRS, in pixels where it has none; each column is (n,). A
    GeoJSON file is turned to longitude and latitude where the CRS lies on Earth.
    """
    if place.crs is None:
        logger.info("%s: the image lies nowhere on Earth, so the polygons are in pixels, y down.", path.name)
    on_earth = place.crs is not None and (place.crs.is_geographic or place.crs.is_projected)
    to_wgs84 = {"RFC7946": "YES"} if on_earth and path.suffix == ".geojson" else {}
    beside = path.with_name(f"polygons.part{path.suffix}")  # GDAL does not take every name that a file can have
    beside.unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        geo("pyogrio.raw").write(
            beside,
            geometry=geo("shapely").to_wkb(shapes),
            field_data=list(columns.values()),
            fields=list(columns),
            layer=layer,
            driver=DRIVERS[path.suffix],
            geometry_type=kind,
            crs=None if place.crs is None else place.crs.to_wkt(),
            **to_wgs84,
        )
    beside.replace(path)
