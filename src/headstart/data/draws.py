"""What chance decides of a view: numbers from a seed, and what they mean.

The distributions are those of torchvision's ``RandomResizedCrop`` and ``ColorJitter``.
"""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from headstart.data.colours import Step

CROP_TRIES = 10
CROP_NUMBERS = 2 * CROP_TRIES + 2
JITTER_NUMBERS = 8
LOG_RATIO = math.log(4 / 3)
"""Crops are between 3 to 4 and 4 to 3, log-uniformly."""


def uniforms(seed: int, count: int) -> list[float]:
    """``count`` numbers in [0, 1) that are a function of the seed, all of its bits (Mersenne Twister, 53 bits each).

    Python's generator and not PyTorch's, of whose seed only the lower 32 bits count.
    """
    generator = random.Random(seed)
    return [generator.random() for _ in range(count)]


@contextmanager
def drawn_by(seed: int) -> Iterator[None]:
    """Within this, what torchvision draws is a function of ``seed``; afterwards the generator is as it was before."""
    generator = torch.default_generator  # what torchvision draws from; torch.manual_seed is 100 times as slow
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)


def crop_box(height: int, width: int, scale: tuple[float, float], u: Sequence[float]) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random crop with a share of the area within ``scale``, by 22 numbers ``u``.

    The first of ten tries that fits into the image; else the whole image, or its middle where it is longer than 4 to 3.
    """
    for area, ratio in zip(u[:CROP_TRIES], u[CROP_TRIES : 2 * CROP_TRIES], strict=True):
        pixels = height * width * _between(*scale, area)
        aspect = math.exp(_between(-LOG_RATIO, LOG_RATIO, ratio))
        across, down = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if 0 < across <= width and 0 < down <= height:
            return int(u[-2] * (height - down + 1)), int(u[-1] * (width - across + 1)), down, across
    down, across = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return (height - down) // 2, (width - across) // 2, down, across


def jitter_ranges(strength: float) -> dict[str, tuple[float, float]]:
    """BYOL's colour jitter at ``strength`` 1 (Grill et al., 2020, Appendix B), as far as each part of it can go beyond:
    the range of each operation's amount. Without the operations that would change nothing.
    """
    spread = {"brightness": 0.4 * strength, "contrast": 0.4 * strength, "saturation": 0.2 * strength}
    ranges = {name: (1 - min(1.0, most), 1 + min(1.0, most)) for name, most in spread.items()}
    turn = min(0.5, 0.1 * strength)
    return (ranges | {"hue": (-turn, turn)}) if strength else {}


def jitter_steps(ranges: dict[str, tuple[float, float]], u: Sequence[float]) -> list[Step]:
    """The operations of a colour jitter in a random order, each with its amount, by 8 numbers ``u``."""
    steps = [(name, _between(*limits, u[i])) for i, (name, limits) in enumerate(ranges.items())]
    return [steps[i] for i in sorted(range(len(steps)), key=lambda i: u[4 + i])]


def _between(low: float, high: float, u: float) -> float:
    return low + (high - low) * u
