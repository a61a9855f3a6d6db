"""segment-anything's own network, small and with seeded random weights, and images for it."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig, SamHQConfig, SamHQModel

from headstart.sam.convert import converted, settings_of

SIDE, PATCH, WIDTH = 256, 16, 64


def reference_sam(seed: int = 0) -> Sam:
    """SAM for 256 pixel images, with a narrow encoder of three layers and random weights that make masks."""
    torch.manual_seed(seed)
    grid = SIDE // PATCH
    sam = Sam(
        image_encoder=ImageEncoderViT(
            depth=3,
            embed_dim=WIDTH,
            img_size=SIDE,
            mlp_ratio=2,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=2,
            patch_size=PATCH,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=[1],
            window_size=5,  # 16 is no multiple of it, so that windows are padded
            out_chans=256,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=256, image_embedding_size=(grid, grid), input_image_size=(SIDE, SIDE), mask_in_chans=16
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=128, num_heads=8),
            transformer_dim=256,
        ),
    ).eval()
    with torch.no_grad():
        for name, parameter in sam.named_parameters():
            if "rel_pos" in name or "pos_embed" in name or "norm" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
            elif "hypernetworks" in name and name.endswith("layers.2.weight"):
                parameter.mul_(200)  # logits of several units, as trained networks have them
            elif name.endswith(("q_proj.bias", "k_proj.bias", "v_proj.bias", "out_proj.bias")):
                parameter.add_(0.5 * torch.randn_like(parameter))
            elif name.endswith("iou_prediction_head.layers.2.bias"):
                parameter.add_(0.5)
    return sam.requires_grad_(False)


def saved(sam: Sam, path: Path) -> Path:
    """A checkpoint as segment-anything publishes them."""
    torch.save(sam.state_dict(), path)
    return path


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Discs and bars of different colours on a gradient: uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 200 / width, y * 200 / height, (x + y) * 90 / (height + width)], axis=-1)
    for _ in range(12):
        cx, cy, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.05, 0.2) * min(height, width)
        inside = (
            (x - cx) ** 2 + (y - cy) ** 2 < radius**2
            if rng.random() < 0.6
            else abs(x - cx) + 3 * abs(y - cy) < 2 * radius
        )
        pixels[inside] = rng.uniform(0, 255, 3)
    return (pixels + rng.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8)


def tiny_sam2() -> Any:
    """SAM 2.1 of ``transformers``, small and with seeded random weights."""
    torch.manual_seed(0)
    encoder = Sam2HieraDetConfig(
        hidden_size=16,
        embed_dim_per_stage=[16, 32, 64, 128],
        blocks_per_stage=[1, 1, 2, 1],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        global_attention_blocks=[3],
        image_size=[SIDE, SIDE],
    )
    vision = Sam2VisionConfig(
        backbone_config=encoder,
        backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[64, 64], [32, 32], [16, 16]],
    )
    return Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config={"image_size": SIDE}))


def tiny_hq() -> Any:
    """SAM-HQ of ``transformers``, as small as ``reference_sam`` and with seeded random weights."""
    torch.manual_seed(1)
    settings = settings_of(converted(reference_sam().state_dict()))
    network = SamHQModel(SamHQConfig(**settings | {"mask_decoder_config": {"vit_dim": WIDTH}}))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network
