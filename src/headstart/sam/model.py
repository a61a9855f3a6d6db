"""A SAM ready to be asked: an image is encoded once, then points are decoded, and only wanted masks are upscaled."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headstart.sam.families import Sam1, Sam2, SamHq, Size
from headstart.sam.two_way import ImageSide, image_side, literal, two_way

FAMILIES = {"sam": Sam1, "sam_hq": SamHq, "sam2": Sam2}
"""By the ``model_type`` of the ``transformers`` config."""


@dataclass(frozen=True)
class Embeddings:
    """What is computed once for an image, or a crop of one.

    Attributes:
        size: (height, width) of the image in pixels.
        input_size: the same as the network saw it, its padding aside.
        grid: rows and columns of the embedding.
        image: the decoder's prompt-independent part.
        extras: what the upscaling of masks needs besides.
    """

    size: Size
    input_size: Size
    grid: Size
    image: ImageSide
    extras: tuple[Tensor, ...]


@dataclass(frozen=True)
class Decoded:
    """Answers to B prompts, before any mask.

    Attributes:
        predicted_iou: (B, 3) fp32, in about [0, 1].
        mask_weights: (B, masks, C / 8) fp32, from which masks are made.
        pixels: (B, pixels, C), the decoder's image side.
    """

    predicted_iou: Tensor
    mask_weights: Tensor
    pixels: Tensor


class Sam:
    """A Segment Anything network (SAM, SAM-HQ or SAM 2.1), as ``load_sam`` makes it.

    Args:
        network: a model of ``transformers`` in fp32; its encoder is converted in place where ``precision`` is bf16.
        name: what to call it in results.
        precision: ``fp32`` or ``bf16``, of the encoder's and the decoder's matrix products.
    """

    mask_threshold = 0.0

    def __init__(self, network: Any, name: str, device: torch.device, precision: str) -> None:
        self.name, self.device, self.precision = name, device, precision
        self.network = network.to(device).eval().requires_grad_(False)
        if precision == "bf16":
            for module in self.network.vision_encoder.modules():
                if isinstance(module, nn.Linear | nn.Conv2d):
                    module.to(torch.bfloat16)
        self.family = FAMILIES[network.config.model_type](self.network)

    @torch.inference_mode()
    def encode(self, image: np.ndarray) -> Embeddings:
        """Embed (H, W, 3) uint8 RGB."""
        size = (image.shape[0], image.shape[1])
        embedding, extras = self.family.features(self.family.preprocess(image, self.device))
        _, channels, height, width = embedding.shape
        no_mask = self.network.prompt_encoder.no_mask_embed.weight
        position = self.network.get_image_wide_positional_embeddings()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        source, position = (part.float().reshape(channels, -1).T.contiguous() for part in (embedding, position))
        side = image_side(self.network.mask_decoder.transformer, source + no_mask, position, dtype)
        return Embeddings(size, self.family.input_size(size), (height, width), side, extras)

    @torch.inference_mode()
    def decode(self, embeddings: Embeddings, points: Tensor, exact: bool = False) -> Decoded:
        """Tokens and predicted IoUs of single foreground points; no mask is made.

        Args:
            points: (B, 2) of (x, y) in pixels of the image.
            exact: in the order of operations of the reference; the network must be in fp32.
        """
        (height, width), (in_height, in_width) = embeddings.size, embeddings.input_size
        scale = torch.tensor([in_width / width, in_height / height], dtype=torch.float64)
        placed = (points.double() * scale).to(self.device)[None, :, None]
        labels = torch.ones(placed.shape[:3], dtype=torch.int, device=self.device)
        sparse, _ = self.network.prompt_encoder(placed, labels, None, None)
        output = self.family.output_tokens().expand(len(points), -1, -1)
        run = literal if exact else two_way
        tokens, pixels = run(self.network.mask_decoder.transformer, embeddings.image, torch.cat([output, sparse[0]], 1))
        return Decoded(self.family.predicted_iou(tokens), self.family.mask_weights(tokens), pixels)

    @torch.inference_mode()
    def upscale(self, embeddings: Embeddings, decoded: Decoded, prompts: Tensor, channels: Tensor) -> Tensor:
        """Low-resolution logits (m, h, w) in fp32 of m masks: ``channels`` (0 to 2) of ``prompts`` (0 to B - 1)."""
        wanted, of = prompts.unique(return_inverse=True)
        pixels = decoded.pixels[wanted].unflatten(1, embeddings.grid)
        features = self.family.upscaled(pixels, embeddings.extras)
        return self.family.logits(features, decoded.mask_weights[wanted], of, channels, embeddings.extras)
