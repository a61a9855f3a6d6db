"""Images made once for all tests: small, real files, with classes that a network can learn."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def packs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Packs of the tests' images go into a folder of their own, not into the user's cache."""
    folder = tmp_path_factory.mktemp("packs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_PACKS", str(folder))
        yield folder


def grating(rng: np.random.Generator, label: int, side: int = 40) -> Image.Image:
    """A coloured stripe pattern; the class sets the direction and the colour, chance the rest."""
    y, x = np.mgrid[:side, :side] / side
    angle = np.pi * label / 4 + rng.normal(0, 0.1)
    wave = np.sin(2 * np.pi * rng.uniform(3, 5) * (np.cos(angle) * x + np.sin(angle) * y) + rng.uniform(0, 6.3))
    colour = np.roll([0.9, 0.5, 0.2], label) + rng.normal(0, 0.05, 3)
    pixels = (0.5 + 0.4 * wave)[..., None] * colour + rng.normal(0, 0.05, (side, side, 3))
    return Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))


def write_classes(root: Path, per_class: int, classes: int, seed: int) -> Path:
    """``per_class`` images for each of ``classes`` folders."""
    rng = np.random.default_rng(seed)
    for label in range(classes):
        folder = root / f"class-{label}"
        folder.mkdir(parents=True)
        for i in range(per_class):
            grating(rng, label).save(folder / f"{i:03}.png")
    return root


@pytest.fixture(scope="session")
def gratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ and val/ with three class folders each: 60 and 30 images of 40 pixels."""
    root = tmp_path_factory.mktemp("gratings")
    write_classes(root / "train", 20, 3, seed=0)
    write_classes(root / "val", 10, 3, seed=1)
    return root


@pytest.fixture(scope="session")
def flat_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flat folder of 24 unlabelled images."""
    root = tmp_path_factory.mktemp("flat")
    rng = np.random.default_rng(2)
    for i in range(24):
        grating(rng, i % 3).save(root / f"{i:03}.png")
    return root


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten images with masks: bright is the second class."""
    root, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    colours = np.array([[0, 255, 255], [255, 255, 0]], np.uint8)  # urban and agriculture of DeepGlobe
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for i in range(10):
        mask = np.kron(rng.integers(0, 2, (5, 5)), np.ones((16, 16))).astype(np.uint8)
        pixels = mask[..., None] * 80 + 60 + rng.normal(0, 30, (80, 80, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{i}.png")
        Image.fromarray(colours[mask]).save(root / "masks" / f"{i}.png")
    return root
