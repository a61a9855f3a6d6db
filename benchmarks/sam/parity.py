"""Hold ``--exact`` to segment-anything at full size: vit_b with seeded random weights, both in 32-bit floating point.

    python -m benchmarks.sam.parity --checkpoint runs/sam/vit_b.pth --points 6

Prints the relative error of the image embedding and, with NMS at 1.0 and at 0.7, how many masks each found and the
least IoU of a mask with its partner. The checkpoint is made where it is missing.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.sam.engines import picture
from benchmarks.sam.weights import random_vit_b, thresholds
from segment_anything import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry

from headstart.configs.masks import MaskConfig
from headstart.sam.generate import MaskGenerator
from headstart.sam.load import load_sam
from headstart.sam.record import dense


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--points", type=int, default=6, help="points along the side of the grid")
    parser.add_argument("--side", type=int, default=512, help="side of the image in pixels")
    asked = parser.parse_args()
    if not asked.checkpoint.is_file():
        asked.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        random_vit_b(asked.checkpoint)
    image = picture(asked.side)
    ours, _ = load_sam(asked.checkpoint, precision="fp32")
    theirs = sam_model_registry["vit_b"](checkpoint=asked.checkpoint).eval()
    predictor = SamPredictor(theirs)
    predictor.set_image(image)
    expected = predictor.get_image_embedding()
    found, _ = ours.family.features(ours.family.preprocess(image, ours.device))
    error = (found - expected).norm() / expected.norm()
    print(f"image embedding: relative error {float(error):.1e}")
    settings: dict[str, Any] = {"points_per_side": asked.points, **thresholds(asked.checkpoint, image)}
    for nms in (1.0, 0.7):
        settings["box_nms_thresh"] = nms
        masks = [dense(mask) for mask in MaskGenerator(ours, MaskConfig(**settings, exact=True)).generate(image)]
        wanted = [mask["segmentation"] for mask in SamAutomaticMaskGenerator(theirs, **settings).generate(image)]
        least = min((best(mask, masks) for mask in wanted), default=float("nan"))
        print(f"NMS at {nms}: {len(masks)} masks of ours, {len(wanted)} of segment-anything's, least IoU {least:.6f}")


def best(mask: np.ndarray, others: list[np.ndarray]) -> float:
    """The largest IoU with any of ``others``."""
    return max(((mask & other).sum() / (mask | other).sum() for other in others), default=0.0)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
