"""Original Segment Anything checkpoints under the names of ``transformers``, key by key, and their sizes.

``sam_vit_*.pth`` of segment-anything and ``sam_hq_vit_*.pth`` of SAM-HQ. Everything that a network's config has to say
is read off the shapes of the tensors, so that a fine-tuned or smaller network loads like the published ones.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from headstart.errors import WeightsError

_RENAMED = [
    (r"^image_encoder\.", "vision_encoder."),
    (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
    (r"^vision_encoder\.blocks\.(\d+)\.norm(\d)\.", r"vision_encoder.layers.\1.layer_norm\2."),
    (r"^vision_encoder\.blocks\.", "vision_encoder.layers."),
    (r"\.neck\.0\.", ".neck.conv1."),
    (r"\.neck\.1\.", ".neck.layer_norm1."),
    (r"\.neck\.2\.", ".neck.conv2."),
    (r"\.neck\.3\.", ".neck.layer_norm2."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.point_embeddings\.", ".point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"(\.transformer\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"\.transformer\.norm_final_attn\.", ".transformer.layer_norm_final_attn."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"\.hf_token\.", ".hq_token."),
    (r"\.hf_mlp\.", ".hq_mask_mlp."),
    (r"\.compress_vit_feat\.0\.", ".compress_vit_conv1."),
    (r"\.compress_vit_feat\.1\.", ".compress_vit_norm."),
    (r"\.compress_vit_feat\.3\.", ".compress_vit_conv2."),
    (r"\.embedding_encoder\.0\.", ".encoder_conv1."),
    (r"\.embedding_encoder\.1\.", ".encoder_norm."),
    (r"\.embedding_encoder\.3\.", ".encoder_conv2."),
    (r"\.embedding_maskfeature\.0\.", ".mask_conv1."),
    (r"\.embedding_maskfeature\.1\.", ".mask_norm."),
    (r"\.embedding_maskfeature\.3\.", ".mask_conv2."),
    # Perceptrons of three layers, the first and the last of which have names of their own.
    (r"(output_hypernetworks_mlps\.\d+|iou_prediction_head|hq_mask_mlp)\.layers\.0\.", r"\1.proj_in."),
    (r"(output_hypernetworks_mlps\.\d+|iou_prediction_head|hq_mask_mlp)\.layers\.2\.", r"\1.proj_out."),
    (r"(output_hypernetworks_mlps\.\d+|iou_prediction_head|hq_mask_mlp)\.layers\.1\.", r"\1.layers.0."),
]


def is_original(state: Mapping[str, Tensor]) -> bool:
    """Whether tensors are named as in segment-anything, under any prefix."""
    return any("image_encoder.patch_embed.proj." in key for key in state)


def converted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an original checkpoint under the names of ``transformers``; unknown names stay as they are."""
    prefix = next(key for key in state if "image_encoder." in key).partition("image_encoder.")[0]
    result = {}
    for key, tensor in state.items():
        name = key.removeprefix(prefix)
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        result[name] = tensor
    return result


def settings_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Keyword arguments of ``SamConfig`` or ``SamHQConfig`` for tensors named as in ``transformers``.

    Raises:
        WeightsError: a tensor that tells the size of the network is not there.
    """
    try:
        return {
            "vision_config": _vision(state),
            "prompt_encoder_config": {
                "hidden_size": _shape(state, "prompt_encoder.no_mask_embed.weight")[1],
                "image_size": _image_size(state),
                "patch_size": _shape(state, "vision_encoder.patch_embed.projection.weight")[2],
                "image_embedding_size": _shape(state, "vision_encoder.pos_embed")[1],
            },
            "mask_decoder_config": _decoder(state),
        }
    except KeyError as missing:
        raise WeightsError(
            f"a Segment Anything checkpoint has a tensor {missing.args[0]}, and this one does not: "
            "give the whole file as it was published"
        ) from None


def _vision(state: Mapping[str, Tensor]) -> dict[str, Any]:
    hidden_size = _shape(state, "vision_encoder.pos_embed")[3]
    grid = _shape(state, "vision_encoder.pos_embed")[1]
    layers = 1 + max(int(key.split(".")[2]) for key in state if key.startswith("vision_encoder.layers."))
    sides = [(_shape(state, f"vision_encoder.layers.{n}.attn.rel_pos_h")[0] + 1) // 2 for n in range(layers)]
    return {
        "hidden_size": hidden_size,
        "output_channels": _shape(state, "vision_encoder.neck.conv1.weight")[0],
        "num_hidden_layers": layers,
        "num_attention_heads": hidden_size // _shape(state, "vision_encoder.layers.0.attn.rel_pos_h")[1],
        "image_size": _image_size(state),
        "patch_size": _shape(state, "vision_encoder.patch_embed.projection.weight")[2],
        "mlp_dim": _shape(state, "vision_encoder.layers.0.mlp.lin1.weight")[0],
        "global_attn_indexes": [n for n, side in enumerate(sides) if side == grid],
        "window_size": min(sides),
        "num_pos_feats": _shape(state, "prompt_encoder.shared_embedding.positional_embedding")[1],
    }


def _decoder(state: Mapping[str, Tensor]) -> dict[str, Any]:
    settings = {
        "hidden_size": _shape(state, "mask_decoder.iou_token.weight")[1],
        "mlp_dim": _shape(state, "mask_decoder.transformer.layers.0.mlp.lin1.weight")[0],
        "iou_head_hidden_dim": _shape(state, "mask_decoder.iou_prediction_head.proj_in.weight")[0],
    }
    if "mask_decoder.compress_vit_conv1.weight" in state:
        settings["vit_dim"] = _shape(state, "mask_decoder.compress_vit_conv1.weight")[0]
    return settings


def _image_size(state: Mapping[str, Tensor]) -> int:
    patch = _shape(state, "vision_encoder.patch_embed.projection.weight")[2]
    return _shape(state, "vision_encoder.pos_embed")[1] * patch


def _shape(state: Mapping[str, Tensor], key: str) -> list[int]:
    return list(state[key].shape)
