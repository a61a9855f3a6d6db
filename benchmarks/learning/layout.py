"""Images in headstart's own layout: train/CLASS/*.png, val/CLASS/*.png, unlabelled/*.png, with facts.json beside."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.bluemarble import appear
from headstart.data.splits import stratified_holdout

VAL_FRACTION = 0.2
SPLIT_SEED = 0
SPLIT_WORDS = f"{VAL_FRACTION:.0%} of each class held out for validation (stratified, seed {SPLIT_SEED})"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """An image (H, W, 3) uint8 with its file name (without ending) and its class; no class where it is unlabelled."""

    name: str
    pixels: Pixels
    label: str = ""


@dataclass(frozen=True)
class Facts:
    """Where a data set comes from and what it holds; ``left_out`` gives a number for each reason."""

    source: str
    version: str
    licence: str
    split: str
    train: dict[str, int] = field(default_factory=dict)
    val: dict[str, int] = field(default_factory=dict)
    unlabelled: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def digest(pixels: Pixels) -> str:
    """SHA-256 of the pixels and their shape."""
    return hashlib.sha256(json.dumps(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def distinct(pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures, but of those with the very same pixels the first alone."""
    first: dict[str, Picture] = {}
    for picture in pictures:
        first.setdefault(digest(picture.pixels), picture)
    return list(first.values())


def split(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Training and validation pictures, by the product's own stratified hold-out."""
    classes = sorted({picture.label for picture in pictures})
    labels = [classes.index(picture.label) for picture in pictures]
    train, val = stratified_holdout(labels, VAL_FRACTION, SPLIT_SEED)
    return [pictures[i] for i in train], [pictures[i] for i in val]


def counts(pictures: Sequence[Picture]) -> dict[str, int]:
    """Pictures of each class, by name."""
    return dict(sorted(Counter(picture.label for picture in pictures).items()))


def write_pictures(folder: Path, pictures: Sequence[Picture]) -> None:
    """PNG files, each in the folder of its class, those without one in ``folder`` itself."""
    for picture in pictures:
        place = folder / picture.label if picture.label else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.pixels).save(place / f"{picture.name}.png")


def make_folder(
    folder: Path, build: Callable[[], tuple[Facts, list[Picture], list[Picture], list[Picture]]]
) -> dict[str, Any]:
    """Make ``folder`` unless it is there, whole or not at all, and return its facts.

    ``build`` gives facts, training, validation and (further) unlabelled pictures; it is called only where needed.
    """

    def fill(beside: Path) -> None:
        facts, train, val, unlabelled = build()
        for part, pictures in (("train", train), ("val", val), ("unlabelled", unlabelled)):
            write_pictures(beside / part, pictures)
        told = asdict(facts) | {"train": counts(train), "val": counts(val), "unlabelled": len(unlabelled)}
        (beside / "facts.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")

    if not folder.exists():
        appear(folder, fill)
    told: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return told
