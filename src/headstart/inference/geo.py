"""The optional packages for georeferenced files (extra ``geo``)."""

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from headstart.data.rasters import open_geotiff
from headstart.errors import MissingExtraError


def geo(module: str) -> Any:
    """A module of rasterio, shapely or pyogrio. MissingExtraError where the package is not installed."""
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(module.partition(".")[0], "geo") from None


def open_raster(path: Path, mode: str = "r", **profile: Any) -> Any:
    """rasterio's dataset of a GeoTIFF; a raster that lies nowhere on Earth is no reason for a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", geo("rasterio.errors").NotGeoreferencedWarning)
        return open_geotiff(path) if mode == "r" else geo("rasterio").open(path, mode, **profile)
