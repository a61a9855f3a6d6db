"""The embedded land cover in the layout and colours of the course's copy of DeepGlobe, for its two models.

The Blue Marble tiles of 128 pixels (``bluemarble.py``), enlarged four times to 512: ``train/NNNN_sat.jpg`` with
``train/NNNN_mask.png``, and ``validation/`` alike (of every second tile: scoring VGG16 at 512 pixels takes long). The
climate groups are painted in DeepGlobe's colours, so that everything made for that data set runs on it; the classes'
names mean something else here, as PROVENANCE.md says.
"""

import logging
from pathlib import Path

import numpy as np
from PIL import Image

from headstart.data.bluemarble import appear, cache_folder, cached_bluemarble
from headstart.data.decode import decode
from headstart.data.folders import find_images
from headstart.data.palettes import BLUEMARBLE, DEEPGLOBE

logger = logging.getLogger(__name__)

VERSION = 2
TILE_SIZE, MAGNIFICATION = 128, 4
JPEG_QUALITY = 92
PARTS = {"train": ("train", 1), "val": ("validation", 2)}
"""Part of the tiles -> its folder here, and which of its tiles are taken: all, or every second."""
PAINTED = {
    "arid": "agriculture",
    "cold": "urban",
    "polar": "barren",
    "temperate": "rangeland",
    "tropical": "forest",
    "ocean": "water",
}
"""Climate group -> the DeepGlobe class whose colour it is painted in."""


def cached_landcover() -> Path:
    """The folder of the pairs in the user's cache, made on first use (some seconds)."""
    return make_landcover(cache_folder() / f"landcover-{TILE_SIZE * MAGNIFICATION}-v{VERSION}")


def make_landcover(folder: Path) -> Path:
    """Make the data in ``folder`` unless it is there, and return ``folder``.

    It appears whole or not at all. MissingExtraError without the extra ``demo``.
    """
    if folder.exists():
        return folder
    tiles = cached_bluemarble(TILE_SIZE)
    logger.info("Making land-cover pairs of %d px in %s (once).", TILE_SIZE * MAGNIFICATION, folder)

    def fill(beside: Path) -> None:
        for part, (name, every) in PARTS.items():
            write_part(tiles, part, beside / name, every)
        origin = (tiles / "PROVENANCE.md").read_text(encoding="utf-8")
        (beside / "PROVENANCE.md").write_text(provenance() + origin, encoding="utf-8")

    return appear(folder, fill)


def write_part(tiles: Path, part: str, folder: Path, every: int) -> None:
    """The pairs of one side of the split, numbered in the order of their tiles."""
    folder.mkdir(parents=True)
    index_of = np.array([DEEPGLOBE.classes.index(PAINTED[name]) for name in BLUEMARBLE.classes], dtype=np.uint8)
    for i, name in enumerate(find_images(tiles / part)[::every]):
        image = Image.fromarray(decode(tiles / part / name))
        side = image.width * MAGNIFICATION
        image.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{i:04}_sat.jpg", quality=JPEG_QUALITY)
        groups = BLUEMARBLE.to_indices(decode(tiles / "masks" / part / name))
        mask = DEEPGLOBE.to_colours(index_of[groups]).repeat(MAGNIFICATION, axis=0).repeat(MAGNIFICATION, axis=1)
        Image.fromarray(mask).save(folder / f"{i:04}_mask.png")


def provenance() -> str:
    """What the colours mean here: Markdown, written before the tiles' own."""
    rows = "\n".join(f"| {group} | {name} |" for group, name in PAINTED.items())
    return (
        f"# Land cover in DeepGlobe's layout\n\nThe tiles below, enlarged {MAGNIFICATION} times to "
        f"{TILE_SIZE * MAGNIFICATION} pixels. Climate groups stand for land cover; a group is painted in the colour "
        f"of a DeepGlobe class, and nothing here is from DeepGlobe.\n"
        f"Of the validation tiles every second one is here.\n\n"
        f"| climate group | painted as |\n|---|---|\n{rows}\n\n"
    )
