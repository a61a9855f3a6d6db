"""vit_b with seeded random weights, and thresholds that about a tenth of its candidates pass."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

EVERYTHING = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}


def random_vit_b(path: Path) -> Path:
    """A checkpoint as segment-anything writes them, with logits of several units and predicted IoUs about 0.5."""
    from segment_anything import sam_model_registry

    torch.manual_seed(0)
    network = sam_model_registry["vit_b"]()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                parameter.normal_(0, 0.02)
            elif "hypernetworks" in name and name.endswith("layers.2.weight"):
                parameter.mul_(200)
            elif name.endswith("iou_prediction_head.layers.2.bias"):
                parameter.add_(0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return path


def thresholds(checkpoint: Path, image: np.ndarray, share: float = 0.1, per_side: int = 8) -> dict[str, Any]:
    """Settings with which about ``share`` of the candidates survive, from the quantiles of a coarse grid's."""
    from headstart.configs.masks import MaskConfig
    from headstart.sam.generate import MaskGenerator
    from headstart.sam.load import load_sam

    sam, _ = load_sam(checkpoint)
    masks = MaskGenerator(sam, MaskConfig(points_per_side=per_side, **EVERYTHING)).generate(image)
    each = 1 - share**0.5
    iou = float(np.quantile([mask.predicted_iou for mask in masks], each))
    stability = float(np.quantile([mask.stability for mask in masks if mask.predicted_iou > iou], each))
    return {"pred_iou_thresh": iou, "stability_score_thresh": stability, "box_nms_thresh": 1.0}
