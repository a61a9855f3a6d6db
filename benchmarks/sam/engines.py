"""One engine on one image, in a process of its own: seconds, peak memory and how many masks came out.

python -m benchmarks.sam.engines ours CHECKPOINT 512 '{"points_per_side": 8, ...}' --threads 2
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

Generate = Callable[[np.ndarray], int]


def picture(side: int) -> np.ndarray:
    """A seeded scene of discs and bars: uint8 (side, side, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    pixels = np.stack([200 * x, 200 * y, 90 * (x + y)], axis=-1)
    for _ in range(30):
        cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.02, 0.15)
        disc = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        pixels[disc if rng.random() < 0.6 else abs(x - cx) + 3 * abs(y - cy) < 2 * radius] = rng.uniform(0, 255, 3)
    return (pixels + rng.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8)


def ours(checkpoint: Path, settings: dict[str, Any]) -> Generate:
    """Our generator; ``precision`` may be among its settings."""
    from headstart.configs.masks import MaskConfig
    from headstart.sam.generate import MaskGenerator
    from headstart.sam.load import load_sam

    precision = settings.pop("precision", "auto")
    sam, _ = load_sam(checkpoint, precision=precision)
    generator = MaskGenerator(sam, MaskConfig(**settings))
    return lambda image: len(generator.generate(image))


def exact(checkpoint: Path, settings: dict[str, Any]) -> Generate:
    """Our generator with --exact."""
    return ours(checkpoint, {**settings, "exact": True, "precision": "fp32"})


def segment_anything(checkpoint: Path, settings: dict[str, Any]) -> Generate:
    """``SamAutomaticMaskGenerator`` as it comes, its masks as runs (which needs the least memory)."""
    from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

    generator = SamAutomaticMaskGenerator(
        sam_model_registry["vit_b"](checkpoint=checkpoint), output_mode="coco_rle", **settings
    )
    return lambda image: len(generator.generate(image))


def transformers(checkpoint: Path, settings: dict[str, Any]) -> Generate:
    """The mask-generation pipeline as it comes."""
    from transformers import SamImageProcessor, pipeline

    from headstart.sam.load import load_sam

    network = load_sam(checkpoint, precision="fp32")[0].network
    generator = pipeline("mask-generation", model=network, image_processor=SamImageProcessor())
    renamed = {"points_per_side": "points_per_crop", "box_nms_thresh": "crops_nms_thresh"}
    options = {renamed.get(name, name): value for name, value in settings.items()}
    return lambda image: len(generator(Image.fromarray(image), points_per_batch=64, **options)["masks"])


ENGINES: dict[str, Callable[[Path, dict[str, Any]], Generate]] = {
    "ours": ours,
    "exact": exact,
    "segment-anything": segment_anything,
    "transformers": transformers,
}


def measured(engine: str, checkpoint: Path, side: int, settings: dict[str, Any], threads: int) -> dict[str, Any]:
    """Seconds of one image from pixels to masks, the network loaded before; memory in MB of the whole process."""
    torch.set_num_threads(threads)
    image = picture(side)
    generate = ENGINES[engine](checkpoint, dict(settings))
    loaded = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    masks = generate(image)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "engine": engine,
        "side": side,
        "seconds": seconds,
        "cpu_seconds": after.ru_utime + after.ru_stime - loaded.ru_utime - loaded.ru_stime,
        "masks": masks,
        "loaded_mb": loaded.ru_maxrss / 1024,
        "peak_mb": after.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("side", type=int)
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    print(json.dumps(measured(asked.engine, asked.checkpoint, asked.side, asked.settings, asked.threads)))
