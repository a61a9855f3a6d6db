"""Where the time of our generator goes, and what it could not go below with this arithmetic on these cores.

The floor is multiply-adds divided by the rate that the same matrix products reach on their own here, with nothing
between them: no normalisation, no softmax, no copying, no thresholds.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headstart.configs.masks import MaskConfig
from headstart.sam import generate
from headstart.sam.generate import MaskGenerator
from headstart.sam.load import load_sam

PIXELS, CHANNELS, ROWS = 4096, 256, 56  # of the decoder; 7 tokens times 8 heads
ENCODER_GMAC = 4096 * (768 * (2304 + 768 + 2 * 3072)) * 12 / 1e9 + 4 * 2 * 4096**2 * 768 / 1e9
"""Linear layers of 12 blocks and the products of 4 global attentions; windows and the neck are left out."""
DECODER_GMAC = 7 * PIXELS * CHANNELS * ROWS / 1e9
"""The seven products of pixels with tokens for one prompt."""
UPSCALE_GMAC = PIXELS * (256 * 256 + 4 * 64 * 128) / 1e9
"""The two transposed convolutions for one prompt that has a mask to make."""


def profile(checkpoint: Path, image: np.ndarray, settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each stage on one core, and the floor of the stages that are matrix products."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    sam, _ = load_sam(checkpoint)
    generator = MaskGenerator(sam, MaskConfig(**settings))
    seconds: defaultdict[str, float] = defaultdict(float)
    calls: defaultdict[str, int] = defaultdict(int)

    def timed(name: str, function: Callable[..., Any], size: Callable[..., int]) -> Callable[..., Any]:
        @wraps(function)
        def timing(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            result = function(*args, **kwargs)
            seconds[name] += time.perf_counter() - began
            calls[name] += size(*args)
            return result

        return timing

    originals = generate.fast_mask, generate.mask_of, generate.without_duplicates
    sam.encode = timed("encode", sam.encode, lambda *_: 1)  # type: ignore[method-assign]
    sam.decode = timed("decode", sam.decode, lambda _, points, *__: len(points))  # type: ignore[method-assign]
    sam.upscale = timed("upscale", sam.upscale, lambda *a: len(a[2].unique()))  # type: ignore[method-assign]
    try:
        generate.fast_mask = timed("full size", originals[0], lambda *_: 1)
        generate.mask_of = timed("runs", originals[1], lambda *_, **__: 1)
        generate.without_duplicates = timed("duplicates", originals[2], lambda masks, *_: len(masks))
        began = time.perf_counter()
        generator.generate(image)
        total = time.perf_counter() - began
    finally:
        generate.fast_mask, generate.mask_of, generate.without_duplicates = originals
        torch.set_num_threads(threads)
    dtype = torch.bfloat16 if sam.precision == "bf16" else torch.float32
    wide, narrow = rate(4096, 768, 3072, dtype), rate(PIXELS, CHANNELS, ROWS, dtype)
    return {
        "precision": sam.precision,
        "seconds": dict(seconds) | {"rest": total - sum(seconds.values())},
        "calls": dict(calls),
        "total_seconds": total,
        "gmac_per_second": {"encoder": wide, "decoder": narrow},
        "floor_seconds": {
            "encode": ENCODER_GMAC / wide,
            "decode": calls["decode"] * DECODER_GMAC / narrow,
            "upscale": calls["upscale"] * UPSCALE_GMAC / wide,
        },
    }


def batches(checkpoint: Path, image: np.ndarray, sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 64)) -> dict[str, float]:
    """Milliseconds of the decoder for a prompt on one core, by how many are decoded together: the best of three."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    sam, _ = load_sam(checkpoint)
    embeddings = sam.encode(image)
    best = {str(size): float("inf") for size in sizes}
    for _ in range(3):
        for size in sizes:
            points = torch.rand(size, 2) * image.shape[0]
            repeats = max(1, 16 // size)
            began = time.perf_counter()
            for _ in range(repeats):
                sam.decode(embeddings, points)
            best[str(size)] = min(best[str(size)], (time.perf_counter() - began) / repeats / size * 1e3)
    torch.set_num_threads(threads)
    return best


def rate(rows: int, inner: int, columns: int, dtype: torch.dtype, repeats: int = 30) -> float:
    """Multiply-adds per second, in units of 10**9, of one matrix product on one core: the best of several."""
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    return rows * inner * columns / best / 1e9
