"""What is measured of every image while it is decoded: size, content, brightness."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headstart.data.decode import DecodeError, quarantine
from headstart.data.imageset import ImageSet
from headstart.data.rasters import read_image
from headstart.data.threads import read_in_threads


@dataclass(frozen=True)
class Measured:
    """Of one image: (height, width), a digest of its pixels, and for each channel the sum of its values, in [0, 1], and
    the sum of their squares.
    """

    size: tuple[int, int]
    digest: str
    sums: tuple[float, float, float]
    squares: tuple[float, float, float]


def measured(pixels: np.ndarray) -> Measured:
    """Measure an image (H, W, 3) uint8. Images have equal digests where they have equal sizes and pixels."""
    digest = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    counts = [np.bincount(pixels[..., channel].reshape(-1), minlength=256) for channel in range(3)]
    levels = np.arange(256) / 255
    sums, squares = ([float(count @ powers) for count in counts] for powers in (levels, levels**2))
    height, width = pixels.shape[:2]
    return Measured(
        (height, width), digest.hexdigest(), (sums[0], sums[1], sums[2]), (squares[0], squares[1], squares[2])
    )


def mean_and_std(
    sums: np.ndarray, squares: np.ndarray, n_pixels: int
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel over all pixels, from sums (n, 3) over ``n_pixels`` in all."""
    mean = sums.sum(axis=0) / n_pixels
    std = np.sqrt(np.maximum(squares.sum(axis=0) / n_pixels - mean**2, 0))
    return (float(mean[0]), float(mean[1]), float(mean[2])), (float(std[0]), float(std[1]), float(std[2]))


def equal_groups(digests: Sequence[str]) -> list[list[int]]:
    """The indices of items with equal digests, in groups of two or more, in order."""
    groups: dict[str, list[int]] = {}
    for i, digest in enumerate(digests):
        groups.setdefault(digest, []).append(i)
    return [group for group in groups.values() if len(group) > 1]


def measure_images(
    images: ImageSet, quarantine_file: Path, workers: int, progress: Callable[[int], None]
) -> tuple[ImageSet, list[Measured]]:
    """Decode and measure every image once, in ``workers`` threads: those that decode, in order, and what was measured.

    The others go to ``quarantine_file``, as ``check_images`` has it. ``progress(done)`` is called in this thread.
    """
    looks: list[Measured | str] = []
    for _, look in read_in_threads(_look, (images.path(i) for i in range(len(images))), workers):
        looks.append(look.result())
        progress(len(looks))
    reasons = {images.names[i]: look for i, look in enumerate(looks) if isinstance(look, str)}
    quarantine(quarantine_file, images, reasons)
    return images.without(reasons), [look for look in looks if isinstance(look, Measured)]


def _look(path: Path) -> Measured | str:
    try:
        return measured(read_image(path))
    except DecodeError as error:
        return error.reason
