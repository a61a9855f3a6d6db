"""Makers of folders of images."""

from collections.abc import Callable, Iterable
from pathlib import Path

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
