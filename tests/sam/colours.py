"""Stand-ins for the generator that need no model, and images for them."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from headstart.sam.record import Mask, mask_of
from headstart.sam.verb import Engine


class ByColour:
    """Every connected patch of a colour is a mask; black is none. ``seen`` are the sizes of the images asked about."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def generate(self, image: np.ndarray) -> list[Mask]:
        assert image.dtype == np.uint8
        assert image.flags["C_CONTIGUOUS"]
        height, width = image.shape[:2]
        self.seen.append((height, width))
        colours = image.astype(np.int64) @ [1, 256, 65536]
        found = []
        for colour in np.unique(colours[colours > 0]):
            labels, n = ndimage.label(colours == colour)
            for label in range(1, n + 1):
                pixels = labels == label
                y, x = np.argwhere(pixels)[0]
                quality = {"predicted_iou": 0.9 + int(colour) % 100 / 1e4, "stability": 0.97}
                place = {"point": (float(x), float(y)), "crop": (0, 0, width, height)}
                found.append(mask_of(pixels, (height, width), **quality, **place))
        return found


class WithWhole(ByColour):
    """Also everything that is not black as one mask, so that masks lie over one another."""

    def generate(self, image: np.ndarray) -> list[Mask]:
        found = super().generate(image)
        height, width = image.shape[:2]
        pixels = image.any(axis=2)
        if pixels.any():
            told = {"predicted_iou": 0.88, "stability": 0.95, "point": (0.0, 0.0), "crop": (0, 0, width, height)}
            found.append(mask_of(pixels, (height, width), **told))
        return found


def use(monkeypatch, generator) -> None:
    """Let the verb take ``generator`` in place of a model."""
    monkeypatch.setattr("headstart.sam.verb.load_engine", lambda config: Engine(generator, None, "fp32"))


def scene(height: int, width: int, seed: int = 0, n: int = 12) -> np.ndarray:
    """Discs of colours of their own on black, some cut by the edge, none over another: uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    for i in range(n):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(0.04, 0.16) * min(height, width)
        distance = np.hypot(y - cy, x - cx)
        if not pixels[distance < r + 2].any():
            pixels[distance < r] = (60 + 15 * i % 190, 255 - 12 * i % 200, 40 + i)
    return pixels


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """``pixels`` as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
