"""GeoTIFF in, GeoTIFF out, of any size: strips of tiles through rasterio windows, resumable.

Memory is bounded by the tile size and BUFFER_BYTES, not by the raster. What is written, and how, is in
``raster_output``.
"""

import logging
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from headstart.data.decode import DecodeError
from headstart.errors import DataError
from headstart.inference.geo import geo, open_raster
from headstart.inference.grid import Grid
from headstart.inference.parts import Parts, file_facts, key_of
from headstart.inference.raster_output import (
    Labels,
    RasterOutput,
    block_width,
    packed,
    part_name,
    sums_name,
)
from headstart.inference.refinement import Regions
from headstart.inference.tiles import Pixels, Predictor, predict_strips
from headstart.training.progress import Progress

logger = logging.getLogger(__name__)

BUFFER_BYTES = 160 << 20
"""Bound of the sums of probabilities in memory; a raster too wide for it is predicted in parts of its columns."""
GDAL_CACHE_BYTES = 64 << 20


@dataclass(frozen=True)
class RasterJob:
    """One raster: from where to where. ``key`` names the model and the settings, so that parts of others are not taken.

    ``probabilities`` is the second output, None where it is not wanted.
    """

    source: Path
    classes: Path
    probabilities: Path | None
    key: str


def predict_raster(predictor: Predictor, labels: Labels, job: RasterJob, regions: Regions | None = None) -> int:
    """Write ``job.classes`` (and ``job.probabilities``); the number of pixels. ``regions`` change the classes.

    Finished strips are kept in a folder beside the output, so that the same call goes on after an interruption and
    comes to the same files; the folder is removed at the end. The outputs appear whole or not at all. Raises
    DecodeError where the input is not 8-bit RGB or is damaged, MissingExtraError without rasterio.
    """
    with geo("rasterio").Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES), open_rgb(job.source) as raster:
        grid = predictor.grid(raster.height, raster.width)
        width = BUFFER_BYTES // (4 * labels.n_outputs * grid.rows.size)
        panels = list(grid.panels(width, block_width(raster)))
        key = key_of(job=job.key, probabilities=job.probabilities is not None, panel=width, **file_facts(job.source))
        parts = Parts(parts_folder(job.classes), key)
        try:
            _predict_missing(predictor, labels, job, RasterSource(raster), panels, parts, regions)
        except DecodeError:
            parts.remove()  # a damaged file has nothing to go on with
            raise
        if regions is not None:
            for i, grid in enumerate(panels):
                for row in range(grid.n_rows):
                    regions.add(parts.load(sums_name(i, row), (-1,)).view(np.float64))
        output = RasterOutput(raster, labels, panels, parts, both=job.probabilities is not None, regions=regions)
        written = [(output.write_classes(), job.classes)]
        if job.probabilities is not None:
            written.insert(0, (output.write_probabilities(), job.probabilities))
    for beside, path in written:
        beside.replace(path)
    parts.remove()
    return int(grid.rows.length * grid.cols.length)


def parts_folder(output: Path) -> Path:
    """Where the finished strips of an output wait until it is whole."""
    return output.with_name(output.name + ".parts")


def remove_parts(output: Path) -> None:
    """Delete what is left of an output's parts, if anything is."""
    shutil.rmtree(parts_folder(output), ignore_errors=True)


def is_raster(path: Path) -> bool:
    """Whether a TIFF is predicted as a raster: it lies somewhere on Earth, has nodata, or three bands of 8 bits.

    Any other is an image like a PNG file. DecodeError where it cannot be opened, MissingExtraError without rasterio.
    """
    try:
        with open_raster(path) as raster:
            placed = raster.crs is not None or not raster.transform.is_identity or bool(raster.gcps[0])
            rgb = raster.count >= 3 and set(raster.dtypes[:3]) == {"uint8"}
            return placed or raster.nodata is not None or rgb
    except (OSError, DataError) as error:
        raise DecodeError(path, one_line(error)) from error


def open_rgb(path: Path) -> Any:
    """The rasterio dataset of a GeoTIFF whose first three bands are 8-bit RGB.

    Raises DecodeError for anything else, MissingExtraError without rasterio.
    """
    try:
        raster = open_raster(path)
    except (OSError, DataError) as error:
        raise DecodeError(path, one_line(error)) from error
    kinds = sorted(set(raster.dtypes[:3]))
    if raster.count < 3 or kinds != ["uint8"]:
        raster.close()
        raise DecodeError(
            path,
            f"has {raster.count} band(s) of type {', '.join(kinds)}, where three of type uint8 (red, green, blue) are "
            "needed. Convert it with gdal_translate -ot Byte -b R -b G -b B, with the same -scale for all files",
        )
    return raster


def one_line(error: Exception) -> str:
    """What an error says, short and without line breaks."""
    return " ".join(str(error).split())[:200]


class RasterSource:
    """Windows of a raster as tensors, with the pixels that are neither nodata nor transparent."""

    def __init__(self, raster: Any) -> None:
        self.raster, self.window = raster, geo("rasterio.windows").Window
        kinds, flags = geo("rasterio.enums").MaskFlags, raster.mask_flag_enums[:3]
        self.masked = not all(kinds.all_valid in each for each in flags)
        by_value = all(kinds.nodata in each and kinds.alpha not in each for each in flags)
        self.nodata = torch.tensor(raster.nodatavals[:3]).view(3, 1, 1) if by_value else None

    def read(self, top: int, bottom: int, left: int, right: int) -> Pixels:
        """A ``tiles.Reader``. A pixel is nodata where all three bands are, or where it is wholly transparent."""
        window = self.window(left, top, right - left, bottom - top)
        try:
            pixels = torch.from_numpy(self.raster.read([1, 2, 3], window=window))
            if not self.masked:
                return pixels, None
            if self.nodata is not None:
                valid = (pixels != self.nodata).any(0)
            else:
                valid = torch.from_numpy(self.raster.read_masks([1, 2, 3], window=window) > 0).any(0)
        except OSError as error:
            reason = f"cannot be read in rows {top} to {bottom}: {one_line(error)}"
            raise DecodeError(Path(self.raster.name), reason) from error
        return pixels, None if bool(valid.all()) else valid


def _predict_missing(
    predictor: Predictor,
    labels: Labels,
    job: RasterJob,
    source: RasterSource,
    panels: list[Grid],
    parts: Parts,
    regions: Regions | None,
) -> None:
    """Predict the strips that are not among the parts, in order, and keep each, after what it adds to the regions."""
    firsts = [
        next((row for row in range(grid.n_rows) if part_name(i, row) not in parts), grid.n_rows)
        for i, grid in enumerate(panels)
    ]
    done = sum(first * grid.n_cols for first, grid in zip(firsts, panels, strict=True))
    total = sum(grid.n_tiles for grid in panels)
    if 0 < done < total:
        logger.info("%s: going on after %d of %d tiles.", job.source, done, total)
    with Progress(total, done, 1, True, "tile", "tiles") as progress, _Keeper(parts) as keeper:

        def count(tiles: int) -> None:
            nonlocal done
            done += tiles
            progress.update(done)

        for i, (grid, first) in enumerate(zip(panels, firsts, strict=True)):
            if first == grid.n_rows:
                continue
            for strip in predict_strips(predictor, source.read, grid, first, count):
                if regions is not None:
                    keeper.save(sums_name(i, strip.row), regions.sums(strip, grid.left))
                layers = packed(strip, grid.right - grid.left, labels, job.probabilities is not None)
                keeper.save(part_name(i, strip.row), layers)


class _Keeper:
    """Saves parts in a thread, one at a time, while the next strip is computed."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.pool = ThreadPoolExecutor(1, "keep")
        self.pending: Future[None] | None = None

    def __enter__(self) -> "_Keeper":
        return self

    def save(self, name: str, array: np.ndarray) -> None:
        """Save once the one before is saved; what went wrong with that is raised here."""
        if self.pending is not None:
            self.pending.result()
        self.pending = self.pool.submit(self.parts.save, name, array)

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self.pool.shutdown()
        if self.pending is not None and kind is None:
            self.pending.result()
