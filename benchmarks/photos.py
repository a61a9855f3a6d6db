"""Folders of JPEGs like photographs: seeded, of the sizes and the detail that decoding and resizing are measured on."""

import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

SHORTEST, LONGEST = 300, 600
QUALITY = 85
OCTAVES = 8
CLASSES = 10


def photo(seed: int, height: int, width: int) -> Image.Image:
    """A picture (RGB) of ``height`` x ``width`` pixels with detail at all scales (amplitude halving with each octave,
    as in photographs), a few sharp edges and the noise of a sensor.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(OCTAVES):
        side = 2 ** (octave + 1)
        coarse = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        fine = coarse.resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(fine, np.float32) - 127.5) * 0.6**octave
    y, x = np.mgrid[:height, :width]
    for _ in range(4):
        a, b = rng.normal(size=2)
        total[a * (x - width * rng.random()) + b * (y - height * rng.random()) > 60] += rng.normal(0, 25, 3)
    total += rng.normal(0, 6, total.shape)
    return Image.fromarray((127.5 + total).clip(0, 255).astype(np.uint8))


def write_photo(folder: Path, seed: int) -> None:
    """Image number ``seed`` of a folder, in one of ten class folders, its sides in [300, 600] pixels."""
    height, width = np.random.default_rng([seed, 1]).integers(SHORTEST, LONGEST + 1, 2)
    place = folder / f"class-{seed % CLASSES}" / f"{seed:06}.jpg"
    place.parent.mkdir(parents=True, exist_ok=True)
    photo(seed, int(height), int(width)).save(place, quality=QUALITY)


def photo_folder(place: Path, n: int, workers: int = 2) -> Path:
    """The folder ``place``/photos-N with ``n`` JPEGs in ten class folders; made where it is not whole yet."""
    folder = place / f"photos-{n}"
    whole = place / f"photos-{n}.json"  # beside the folder: all in it is images
    if not whole.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(partial(write_photo, folder), range(n), chunksize=32))
        whole.write_text(json.dumps({"images": n, "sides": [SHORTEST, LONGEST], "quality": QUALITY}) + "\n")
    return folder
