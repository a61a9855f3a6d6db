"""How far views of reduced images are from views of the whole ones, by how early a JPEG's decoder may reduce it.

    python -m benchmarks.pack_quality [--image-size 64] [--crops 8]

Real photographs (of scikit-learn) and synthetic ones with fine texture and sharp edges, as JPEGs of several sizes and
qualities. A view is a random crop (BYOL's scales and shapes), resized to the network's size: of the image decoded
whole, and, at the same place, of the reduced one. In levels of 255. Of the factor of ``headstart.data.reduced``.
"""

import argparse
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from headstart.configs.views import ViewsConfig
from headstart.data.decode import Pixels, decode
from headstart.data.reduced import reduced_size, side_for

FACTORS = (math.inf, 3.0, 2.0, 1.5, 1.0)
"""inf: decoded whole, then resized: what resizing alone costs."""
SCALES_OF_SIDE = (2.2, 3.3, 4.5, 7.0)
"""Shorter sides of the JPEGs, as multiples of what is kept."""
QUALITIES = (75, 95)


def textured(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Noise of all scales (1/f) with sharp-edged discs: harder than photographs at the same size."""
    pixels = np.zeros((height, width, 3))
    for octave in range(9):
        cells = rng.normal(0, 1, (2**octave + 1, 2**octave + 1, 3)) * 2.0 ** (-0.7 * octave)
        for c in range(3):
            layer = Image.fromarray(cells[..., c].astype(np.float32))
            pixels[..., c] += np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC))
    y, x = np.mgrid[:height, :width]
    for _ in range(12):
        radius = rng.uniform(0.02, 0.2) * height
        inside = (y - rng.uniform(0, height)) ** 2 + (x - rng.uniform(0, width)) ** 2 < radius**2
        pixels[inside] = 0.5 * pixels[inside] + rng.normal(0, 1, 3)
    return Image.fromarray((128 + 60 * pixels).clip(0, 255).astype(np.uint8))


def jpegs(folder: Path, side: int, rng: np.random.Generator) -> Iterator[tuple[str, Path]]:
    """(kind, path) of JPEGs of several sizes and qualities."""
    for scale in SCALES_OF_SIDE:
        height = int(scale * side)
        photos = [Image.fromarray(image) for image in load_sample_images().images]
        shown = [("photograph", image.resize((round(height * image.width / image.height), height))) for image in photos]
        shown += [("synthetic", textured(rng, height, int(1.4 * height))) for _ in range(2)]
        for i, (kind, image) in enumerate(shown):
            for quality in QUALITIES:
                path = folder / f"{scale}-{i}-{quality}.jpg"
                image.save(path, quality=quality)
                yield kind, path


def crop(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """(left, upper, right, lower) of a crop as shares of the image, scale 0.2 to 1 and ratio 3/4 to 4/3."""
    area, ratio = rng.uniform(0.2, 1), math.exp(rng.uniform(-math.log(4 / 3), math.log(4 / 3)))
    width, height = min(1, math.sqrt(area * ratio)), min(1, math.sqrt(area / ratio))
    left, upper = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return left, upper, left + width, upper + height


def view(pixels: Pixels, box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """The crop, resized: float64 (size, size, 3)."""
    height, width = pixels.shape[:2]
    within = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    shown = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC, box=within)
    return np.asarray(shown).astype(float)


def reduced(path: Path, side: int, factor: float) -> Pixels:
    """The image reduced, its JPEG decoder by the given factor."""
    pixels = decode(path, None if factor == math.inf else math.ceil(factor * side))
    height, width = reduced_size(*pixels.shape[:2], side)
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def main() -> None:
    """Print a line for each factor and kind of image."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--crops", type=int, default=8)
    given = parser.parse_args()
    side = side_for(ViewsConfig(), given.image_size)
    differences: dict[tuple[str, float], list[np.ndarray]] = {}
    seconds: dict[tuple[str, float], float] = {}
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for kind, path in jpegs(Path(folder), side, rng):
            whole, boxes = decode(path), [crop(rng) for _ in range(given.crops)]
            for factor in FACTORS:
                began = perf_counter()
                pixels = reduced(path, side, factor)
                key = (kind, factor)
                seconds[key] = seconds.get(key, 0) + perf_counter() - began
                for box in boxes:
                    error = view(pixels, box, given.image_size) - view(whole, box, given.image_size)
                    differences.setdefault(key, []).append(error)
    print(f"views of {given.image_size} px, shorter side kept {side} px, JPEGs of {SCALES_OF_SIDE} times that")
    for (kind, factor), errors in differences.items():
        stacked = np.stack(errors)
        time = seconds[kind, factor] / seconds[kind, math.inf]
        psnr = 10 * np.log10(255**2 / (stacked**2).mean(axis=(1, 2, 3)))
        print(
            f"{kind:<11} factor {factor:<4} mean |difference| {np.abs(stacked).mean():.2f}  PSNR median "
            f"{np.median(psnr):.1f} dB, lowest {psnr.min():.1f} dB  time x {time:.2f}"
        )


if __name__ == "__main__":
    main()
