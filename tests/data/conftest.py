"""Makers of folders of images, and of images with masks."""

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_images(root: Path, names: Iterable[str]) -> Path:
    """Small plain images called ``names`` under ``root``, in the formats of their suffixes."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 8), (200, 30, 60)).save(path)
    return root


@pytest.fixture(scope="session", name="write_images")
def write_images_fixture() -> Callable[[Path, Iterable[str]], Path]:
    return write_images


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """The seed's layout: train.csv and val.csv (id, filename, label) beside train/ and val/; three classes."""
    for part, per_class in (("train", 4), ("val", 2)):
        names = [f"{i:05}.jpg" for i in range(3 * per_class)]
        write_images(tmp_path / "office" / part, names)
        lines = ["id,filename,label"] + [f"{i},{name},{i % 3}" for i, name in enumerate(names)]
        (tmp_path / "office" / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "office"


def write_pairs(root: Path, images: Iterable[str], masks: Iterable[str], size: tuple[int, int] = (12, 8)) -> Path:
    """Images of random pixels and single-channel masks of the values 0 to 2, (width, height) ``size``, under ``root``.

    The content depends on the name alone.
    """
    for names, is_mask in ((images, False), (masks, True)):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            if is_mask:
                Image.fromarray(rng.integers(0, 3, size[::-1], dtype=np.uint8)).save(path)
            else:
                Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(path)
    return root


@pytest.fixture(scope="session", name="write_pairs")
def write_pairs_fixture() -> Callable[..., Path]:
    return write_pairs
