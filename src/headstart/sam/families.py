"""What differs between SAM, SAM-HQ and SAM 2.1: preprocessing, the encoder, the output tokens, the upscaling of masks.

Sources: Kirillov et al. 2023 (SAM; ``ResizeLongestSide``, ``Sam.preprocess`` and ``MaskDecoder`` of segment-anything),
Ke et al. 2023 (SAM-HQ), Ravi et al. 2024 (SAM 2). Module names are those of ``transformers``.
"""

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from headstart.sam.vit import encode_vit

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)

Size = tuple[int, int]
"""(height, width) in pixels."""


class Sam1:
    """SAM: the longer side is resized to the network's, the rest padded; masks pass through the network's own size."""

    iou_token = 0
    """Place of the token that predicts IoUs."""
    first_mask_token = 2
    """Place of the first of the three mask tokens; the one before answers prompts that are not ambiguous."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.side = int(network.config.vision_config.image_size)

    def input_size(self, size: Size) -> Size:
        """Size of an image within the network's square, as ``ResizeLongestSide.get_preprocess_shape`` rounds it; but no
        side of a very long image is rounded to nothing.
        """
        scale = self.side * 1.0 / max(size)
        return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))

    def preprocess(self, image: np.ndarray, device: torch.device) -> Tensor:
        """(H, W, 3) uint8 RGB to (1, 3, side, side) fp32, resized by PIL (bilinear), normalised, padded with zeros."""
        height, width = self.input_size((image.shape[0], image.shape[1]))
        resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        pixels = torch.as_tensor(resized.copy(), device=device).permute(2, 0, 1).float()
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (PIXEL_MEAN, PIXEL_STD))
        return F.pad((pixels - mean) / std, (0, self.side - width, 0, self.side - height))[None]

    def features(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Image embedding (1, C, h, w), and what the upscaling of masks needs of the image besides."""
        return encode_vit(self.network.vision_encoder, pixels)[0], ()

    def output_tokens(self) -> Tensor:
        """The decoder's learned tokens, (n, C)."""
        decoder = self.network.mask_decoder
        return torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])

    def upscaled(self, pixels: Tensor, extras: tuple[Tensor, ...]) -> Tensor:
        """Pixels (n, h, w, C) to mask features (n, h, w, 2, 2, 2, 2, C / 8): rows and columns within, twice halved.

        The transposed convolutions have kernel and stride 2, so each is a linear layer of a pixel.
        """
        decoder = self.network.mask_decoder
        wide = _doubled(pixels, decoder.upscale_conv1)
        norm = decoder.upscale_layer_norm
        weight, bias = norm.weight.to(wide.dtype), norm.bias.to(wide.dtype)
        wide = F.gelu(F.layer_norm(self._with(wide, extras, 0), norm.normalized_shape, weight, bias, norm.eps))
        return F.gelu(self._with(_doubled(wide, decoder.upscale_conv2), extras, 1))

    def _with(self, features: Tensor, extras: tuple[Tensor, ...], level: int) -> Tensor:
        """Features with what the encoder adds to them at a level: nothing."""
        return features

    def logits(self, features: Tensor, weights: Tensor, of: Tensor, channels: Tensor, extras: Any) -> Tensor:
        """Mask logits (m, 4h, 4w) in fp32.

        Args:
            features: of n prompts, from ``upscaled``.
            weights: (n, masks, C / 8), from ``mask_weights`` of the same prompts.
            of: (m) to which of the n prompts a mask belongs.
            channels: (m) which of the prompt's three masks.
        """
        chosen = weights[of, channels].to(features.dtype)
        return torch.stack([_unfolded(features[n] @ w).float() for n, w in zip(of.tolist(), chosen, strict=True)])

    def mask_weights(self, tokens: Tensor) -> Tensor:
        """What the mask features are weighted by, (B, 3, C / 8), from the output tokens (B, tokens, C)."""
        networks = self.network.mask_decoder.output_hypernetworks_mlps
        return torch.stack([networks[1 + n](tokens[:, self.first_mask_token + n]) for n in range(3)], dim=1)

    def predicted_iou(self, tokens: Tensor) -> Tensor:
        """Predicted IoU of the three masks of each prompt, (B, 3), from the output tokens alone."""
        scores: Tensor = self.network.mask_decoder.iou_prediction_head(tokens[:, self.iou_token])
        return scores[:, 1:]

    def resize_axis(self, low: Tensor, size: int, input_size: int) -> Tensor:
        """Interpolate the last axis of (1, rows, n) from the masks' own length to ``size``, as ``postprocess_masks``:

        to the network's side, cut to ``input_size``, and to the image's.
        """
        square = F.interpolate(low, self.side, mode="linear", align_corners=False)
        return F.interpolate(square[..., :input_size], size, mode="linear", align_corners=False)

    def resize(self, low: Tensor, size: Size) -> Tensor:
        """Mask logits (m, h, w) at the image's ``size``, by the two interpolations of ``Sam.postprocess_masks``."""
        height, width = self.input_size(size)
        square = F.interpolate(low[:, None], (self.side, self.side), mode="bilinear", align_corners=False)
        return F.interpolate(square[..., :height, :width], size, mode="bilinear", align_corners=False)[:, 0]


class SamHq(Sam1):
    """SAM-HQ: a further token, whose mask from early features of the encoder is added to each of SAM's.

    The masks of a prompt keep SAM's order, where ``transformers`` sorts them by predicted IoU: the set is the same.
    """

    def features(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        embedding, early = encode_vit(self.network.vision_encoder, pixels)
        decoder = self.network.mask_decoder
        fused = decoder.encoder_conv2(F.gelu(decoder.encoder_norm(decoder.encoder_conv1(embedding))))
        early = F.gelu(decoder.compress_vit_norm(decoder.compress_vit_conv1(early.permute(0, 3, 1, 2))))
        return embedding, (fused + decoder.compress_vit_conv2(early),)

    def output_tokens(self) -> Tensor:
        return torch.cat([super().output_tokens(), self.network.mask_decoder.hq_token.weight])

    def mask_weights(self, tokens: Tensor) -> Tensor:
        further = self.network.mask_decoder.hq_mask_mlp(tokens[:, self.first_mask_token + 3])
        return torch.cat([super().mask_weights(tokens), further[:, None]], dim=1)

    def logits(self, features: Tensor, weights: Tensor, of: Tensor, channels: Tensor, extras: Any) -> Tensor:
        decoder = self.network.mask_decoder
        plain = super().logits(features, weights, of, channels, extras)
        for n in of.unique().tolist():  # one at a time: the maps are of the masks' size, with 32 to 64 channels
            maps = _unfolded(features[n].float()).permute(2, 0, 1)[None]
            maps = decoder.mask_conv2(F.gelu(decoder.mask_norm(decoder.mask_conv1(maps)))) + extras[0]
            plain[of == n] += torch.einsum("c,chw->hw", weights[n, 3], maps[0])
        return plain


class Sam2(Sam1):
    """SAM 2.1 on single images: a square input, high-resolution features in the upscaling, sigmoid IoUs."""

    iou_token = 1  # the object score's comes first
    first_mask_token = 3

    def __init__(self, network: Any) -> None:
        self.network = network
        self.side = int(network.prompt_encoder.input_image_size)

    def input_size(self, size: Size) -> Size:
        return self.side, self.side

    def preprocess(self, image: np.ndarray, device: torch.device) -> Tensor:
        pixels = torch.as_tensor(np.ascontiguousarray(image), device=device).permute(2, 0, 1).float() / 255
        pixels = cast(Tensor, resize(pixels, [self.side, self.side], antialias=True))
        mean, std = (torch.tensor(values, device=device)[:, None, None] / 255 for values in (PIXEL_MEAN, PIXEL_STD))
        return ((pixels - mean) / std)[None]

    def features(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        bf16 = any(weight.dtype is torch.bfloat16 for weight in self.network.vision_encoder.parameters())
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=bf16):
            fine, middle, embedding = self.network.get_image_embeddings(pixels)
        return embedding.float(), (_folded(middle[0].float(), 1), _folded(fine[0].float(), 2))

    def output_tokens(self) -> Tensor:
        return torch.cat([self.network.mask_decoder.obj_score_token.weight, super().output_tokens()])

    def _with(self, features: Tensor, extras: tuple[Tensor, ...], level: int) -> Tensor:
        return features + extras[level].to(features.dtype)

    def resize_axis(self, low: Tensor, size: int, input_size: int) -> Tensor:
        return F.interpolate(low, size, mode="linear", align_corners=False)

    def resize(self, low: Tensor, size: Size) -> Tensor:
        return F.interpolate(low[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def _doubled(features: Tensor, layer: Any) -> Tensor:
    """A transposed convolution with kernel and stride 2 of (..., C): (..., 2, 2, D), rows and columns within."""
    weight = layer.weight.to(features.dtype).permute(2, 3, 1, 0)  # (2, 2, D, C)
    out = F.linear(features, weight.flatten(0, 2), layer.bias.to(features.dtype).repeat(4))
    doubled: Tensor = out.unflatten(-1, weight.shape[:3])
    return doubled


def _folded(maps: Tensor, times: int) -> Tensor:
    """A map (C, h, w), halved once or twice: (h / 2, w / 2, 2, 2, C) or (h / 4, w / 4, 2, 2, 2, 2, C)."""
    channels, height, width = maps.shape
    twos = [2] * times
    parts = maps.reshape(channels, height >> times, *twos, width >> times, *twos)
    rows, cols = range(1, 2 + times), range(2 + times, 3 + 2 * times)
    return parts.permute(*[axis for pair in zip(rows, cols, strict=True) for axis in pair], 0)


def _unfolded(features: Tensor) -> Tensor:
    """The reverse, from (h, w, 2, 2, 2, 2, ...) to (4h, 4w, ...)."""
    height, width = features.shape[:2]
    whole = features.permute(0, 2, 4, 1, 3, 5, *range(6, features.ndim))
    return whole.reshape(4 * height, 4 * width, *features.shape[6:])
