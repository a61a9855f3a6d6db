"""The GeoTIFFs of a prediction, put together from its parts.

They have the CRS, transform, block layout, compression and nodata of their input, as far as that is possible: lossy
compression becomes deflate, and a nodata value that is the number of a class becomes a free one.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart.data.palettes import Palette
from headstart.files import written_beside
from headstart.inference.geo import geo, open_raster
from headstart.inference.grid import Grid
from headstart.inference.parts import Parts
from headstart.inference.refinement import Regions
from headstart.inference.tiles import Strip, most_probable

logger = logging.getLogger(__name__)

NODATA_INDEX = 255
"""In the parts: no class. A palette has at most 255 classes, so no class has this index."""
NODATA_PERCENT = 255
LOSSLESS = ("deflate", "lzw", "zstd", "packbits", "lzma")
BLOCK = 256


@dataclass(frozen=True)
class Labels:
    """What the network's outputs mean: output i is class i of ``palette``."""

    palette: Palette
    n_outputs: int

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that can be predicted."""
        return self.palette.classes[: self.n_outputs]


def packed(strip: Strip, width: int, labels: Labels, both: bool) -> np.ndarray:
    """Class indices of a strip, then with ``both`` the percentages of each class: uint8 (1 or 1 + C, h, width)."""
    shape = (1 + both * labels.n_outputs, strip.bottom - strip.top, width)
    layers = torch.empty(shape, dtype=torch.uint8)
    if strip.probabilities is not None:
        layers[0] = most_probable(strip.probabilities)
        for layer, share in zip(layers[1:], strip.probabilities, strict=False):
            layer.copy_((share * 100).round_())
    if strip.valid is not None or strip.probabilities is None:
        nodata = torch.ones(shape[1:], dtype=torch.bool) if strip.valid is None else ~strip.valid
        layers[0].masked_fill_(nodata, NODATA_INDEX)
        layers[1:].masked_fill_(nodata, NODATA_PERCENT)
    return layers.numpy()


def part_name(panel: int, row: int) -> str:
    """What the strip of a tile row is called among the parts."""
    return f"{panel:03}-{row:06}"


def sums_name(panel: int, row: int) -> str:
    """What the sums of a strip's probabilities within regions are called among the parts."""
    return f"{part_name(panel, row)}-sums"


def block_width(raster: Any) -> int:
    """Width in pixels of the blocks in which an output for ``raster`` is written, where these are not whole rows."""
    return int(raster.profile["blockxsize"]) if raster.profile.get("tiled") else BLOCK


@dataclass(frozen=True)
class RasterOutput:
    """Puts the parts of ``panels`` together. ``raster`` is the open input; ``regions``, if any, change its classes."""

    raster: Any
    labels: Labels
    panels: list[Grid]
    parts: Parts
    both: bool
    regions: Regions | None = None

    def write_classes(self) -> Path:
        """The class raster: the palette's values in one band, with a colour table. The path among the parts."""
        nodata = self.nodata()
        table = class_values(self.labels.palette, nodata)
        path = self.parts.folder / "classes.tif"
        layout = {"count": 1, "dtype": table.dtype.name, "nodata": nodata}
        with written_beside(path) as beside, self._created(beside, **layout) as output:
            output.write_colormap(1, colour_table(self.labels.palette, nodata))
            output.set_band_description(1, "class")
            output.update_tags(
                **{f"CLASS_{v}": name for name, v in zip(self.labels.palette.classes, table, strict=False)}
            )
            for window, layers in self._blocks(slice(0, 1), int(output.block_shapes[0][0])):
                output.write(table[self._refined(window, layers[0])], 1, window=window)
        return path

    def _refined(self, window: Any, indices: np.ndarray) -> np.ndarray:
        if self.regions is None:
            return indices
        left, top = window.col_off, window.row_off
        return self.regions.repainted((left, top, left + window.width, top + window.height), indices)

    def write_probabilities(self) -> Path:
        """The second raster: the probability of each class in percent, a band each; 255 is nodata."""
        nodata = None if self.nodata() is None else NODATA_PERCENT
        path = self.parts.folder / "probabilities.tif"
        count = self.labels.n_outputs
        layout = {"count": count, "dtype": "uint8", "nodata": nodata, "interleave": "band"}
        with written_beside(path) as beside, self._created(beside, **layout) as output:
            output.descriptions = self.labels.names
            for window, layers in self._blocks(slice(1, None), int(output.block_shapes[0][0])):
                output.write(layers, window=window)
        return path

    def nodata(self) -> int | None:
        """The class raster's number for pixels that are nodata in the input; None where the input can have none."""
        all_valid = geo("rasterio.enums").MaskFlags.all_valid
        if all(all_valid in flags for flags in self.raster.mask_flag_enums[:3]):
            return None
        return free_value(self.labels.palette, self.raster.nodata)

    def _created(self, path: Path, **layout: Any) -> Any:
        return created_like(self.raster, path, parts=len(self.panels) > 1, **layout)

    def _blocks(self, layers: slice, block_height: int) -> Iterator[tuple[Any, np.ndarray]]:
        """Windows of whole blocks from top to bottom of each panel, with their layers of the parts."""
        window = geo("rasterio.windows").Window
        n_layers = 1 + self.both * self.labels.n_outputs
        for i, grid in enumerate(self.panels):
            width, top = grid.right - grid.left, 0
            waiting = np.empty((n_layers, 0, width), dtype=np.uint8)[layers]
            for row in range(grid.n_rows):
                begin, end = grid.strip(row)
                part = self.parts.load(part_name(i, row), (n_layers, end - begin, width))[layers]
                waiting = np.concatenate([waiting, part], axis=1)
                ready = waiting.shape[1] if row + 1 == grid.n_rows else waiting.shape[1] // block_height * block_height
                if ready:
                    yield window(grid.left, top, width, ready), waiting[:, :ready]
                    waiting, top = waiting[:, ready:], top + ready


def created_like(raster: Any, path: Path, parts: bool = False, **layout: Any) -> Any:
    """A new GeoTIFF, open for writing, in the place and the layout of the open ``raster``.

    ``layout`` has its bands and their type. ``parts``: it is written in parts of its columns.
    """
    output = open_raster(path, "w", **{**profile_like(raster, parts), **layout})
    gcps, crs = raster.gcps
    if gcps:
        output.gcps = (gcps, crs)
    output.update_tags(AREA_OR_POINT=raster.tags().get("AREA_OR_POINT", "Area"))
    return output


def profile_like(raster: Any, parts: bool) -> dict[str, Any]:
    """What a GeoTIFF in the place of ``raster`` takes over from it."""
    given = raster.profile
    tiled = bool(given.get("tiled"))
    compression = str(given.get("compress", "none")).lower()
    profile = {
        "driver": "GTiff",
        "width": raster.width,
        "height": raster.height,
        "tiled": tiled or parts,
        "bigtiff": "if_safer",
        "num_threads": "all_cpus",
    }
    if raster.crs is not None:
        profile["crs"] = raster.crs
    if not raster.transform.is_identity:
        profile["transform"] = raster.transform
    if compression != "none":
        profile["compress"] = compression if compression in LOSSLESS else "deflate"
    if tiled:
        profile |= {"blockxsize": given["blockxsize"], "blockysize": given["blockysize"]}
    elif parts:  # rows of blocks that are written in parts would be packed again and again
        profile |= {"blockxsize": BLOCK, "blockysize": BLOCK}
    else:
        profile["blockysize"] = given["blockysize"]
    return profile


def free_value(palette: Palette, wanted: float | None) -> int:
    """A number that means nodata: the one the input has, else 255, else the largest that is no class's."""
    limit = 255 if max(palette.values) <= 255 else 65535
    if wanted is not None and wanted in range(limit + 1) and wanted not in palette.values:
        return int(wanted)
    free: int = next(value for value in (255, *range(limit, -1, -1)) if value not in palette.values)
    if wanted is not None:
        logger.info("The input's nodata value %g is the number of a class; the output's is %d.", wanted, free)
    return free


def class_values(palette: Palette, nodata: int | None) -> np.ndarray:
    """The value of each index in the parts, (256,) uint8, or uint16 where the palette needs it."""
    values = palette.to_values(np.arange(len(palette.classes)))
    table = np.zeros(256, dtype=values.dtype)
    table[: len(values)] = values
    table[NODATA_INDEX] = 0 if nodata is None else nodata
    return table


def colour_table(palette: Palette, nodata: int | None) -> Mapping[int, tuple[int, int, int, int]]:
    """Colours by value, nodata transparent."""
    table = {value: (*colour, 255) for value, colour in zip(palette.values, palette.colours, strict=True)}
    return table if nodata is None else {**table, nodata: (0, 0, 0, 0)}
