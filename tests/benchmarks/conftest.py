"""Fake npm packages, and a data set of the bench."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from benchmarks.learning import emoji
from benchmarks.learning.datasets import BenchData, Build
from PIL import Image

Row = dict[str, object]


def png(red: int, green: int, blue: int, alpha: int = 255, side: int = 8) -> bytes:
    """A plain RGBA picture whose left upper pixel is transparent."""
    pixels = np.full((side, side, 4), (red, green, blue, alpha), np.uint8)
    pixels[0, 0] = (0, 0, 0, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def emoji_row(name: str, category: str, **more: object) -> Row:
    return {"image": f"{name}.png", "unified": name.upper(), "category": category, **more}


def write_package(path: Path, style: str, rows: list[Row], pictures: Mapping[str, bytes]) -> Path:
    """A .tgz as npm pack makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {"package/emoji.json": json.dumps(rows).encode(), "package/package.json": b"{}"}
    files |= {f"package/img/{style}/64/{name}.png": content for name, content in pictures.items()}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def emoji_cache(tmp_path: Path) -> Path:
    """A cache with both packages: 10 smileys, 10 flags, a component, a skin variation, a repeated and a missing one."""
    cache = tmp_path / "cache"
    rows = [emoji_row(f"face{i}", "Smileys & Emotion") for i in range(10)]
    rows += [emoji_row(f"flag{i}", "Flags") for i in range(10)]
    rows[0]["skin_variations"] = {"1F3FB": {"image": "face0-dark.png"}}
    rows += [emoji_row("again", "Flags"), emoji_row("tone", "Component"), emoji_row("gone", "Flags")]
    for style, base in (("google", 10), ("twitter", 120)):
        pictures = {f"face{i}": png(base + i, 0, 0) for i in range(10)}
        pictures |= {f"flag{i}": png(0, base + i, 0) for i in range(10)}
        pictures |= {"again": pictures["flag3"], "tone": png(0, 0, base), "face0-dark": png(base, 1, 1)}
        name = f"emoji-datasource-{style}-{emoji.VERSION}.tgz"
        write_package(cache / "packages" / name, style, rows, pictures)
    return cache


@pytest.fixture(scope="session")
def build(gratings: Path) -> Build:
    facts = {"train": {"class-0": 20}, "unlabelled": 0, "left_out": {}}
    facts |= {"source": "gratings", "version": "1", "licence": "none", "split": "as given"}
    spec = f"classes:{gratings}"
    return lambda cache: BenchData("gratings", spec, spec, 32, facts)
