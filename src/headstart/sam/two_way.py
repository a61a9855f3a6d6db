"""The two-way transformer of SAM's mask decoder (Kirillov et al. 2023, appendix A), arranged for many single points.

Every prompt brings few tokens (7 for a point) and asks the same 4096 pixels of 256 channels. ``transformers`` projects
all pixels of every prompt to queries, keys and values in each layer. Here the projections move to the tokens' side,
which is the same by associativity and has 585 times fewer rows:

    (q W_k x)  = (W_k' q) x          scores, with x the pixels: 7 tokens x 8 heads = 56 rows of 256 channels
    p (W_v x)  = W_v (p x)           what tokens gather from pixels
    W_o (p v)  = p (W_o v)           what pixels gather from tokens

A bias of the keys adds the same to all scores of a query and falls out of the softmax. In the first layer the pixels
are the same for all prompts, so there the projections are computed once for an image (``ImageSide``). ``literal`` runs
the modules of ``transformers`` as they are, for ``--exact`` and for tests.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ImageSide:
    """What the decoder needs of one image, whatever the prompt. ``pixels`` is h * w, in the decoder's precision.

    Attributes:
        source: (pixels, C), image embedding with the embedding of "no mask prompt".
        position: (pixels, C), positional encoding.
        keys, values: (heads, pixels, d) of the first layer's attention of tokens to pixels.
        queries: (heads, pixels, d) of the first layer's attention of pixels to tokens.
    """

    source: Tensor
    position: Tensor
    keys: Tensor
    values: Tensor
    queries: Tensor


def image_side(transformer: Any, source: Tensor, position: Tensor, dtype: torch.dtype) -> ImageSide:
    """The prompt-independent part, from (pixels, C) in fp32."""
    first = transformer.layers[0]
    to_image, to_token = first.cross_attn_token_to_image, first.cross_attn_image_to_token
    placed = source + position
    return ImageSide(
        source=source.to(dtype),
        position=position.to(dtype),
        keys=_by_head(to_image.k_proj(placed), to_image).to(dtype),
        values=_by_head(to_image.v_proj(source), to_image).to(dtype),
        queries=_by_head(to_token.q_proj(placed), to_token).to(dtype),
    )


def two_way(transformer: Any, image: ImageSide, prompts: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens and pixels after all layers.

    Args:
        prompts: (B, tokens, C) in fp32: the output tokens, then the prompt's own.

    Returns:
        (B, tokens, C) in fp32 and (B, pixels, C) in the precision of ``image``.
    """
    tokens, pixels, placed = prompts, image.source, image.source
    for number, layer in enumerate(transformer.layers):
        tokens = layer.layer_norm1(_self_attention(layer, tokens, prompts))
        if number == 0:
            gathered = _gather_first(layer.cross_attn_token_to_image, tokens + prompts, image)
        else:
            gathered = _gather(layer.cross_attn_token_to_image, tokens + prompts, pixels, placed)
        tokens = layer.layer_norm2(tokens + gathered)
        tokens = layer.layer_norm3(tokens + layer.mlp(tokens))
        attention = layer.cross_attn_image_to_token
        scores = _scores_first(attention, tokens + prompts, image) if number == 0 else None
        pixels = _norm(layer.layer_norm4, _spread(attention, tokens, prompts, pixels, placed, scores))
        placed = pixels + image.position
    tokens = tokens + _gather(transformer.final_attn_token_to_image, tokens + prompts, pixels, placed)
    return transformer.layer_norm_final_attn(tokens), pixels


def literal(transformer: Any, image: ImageSide, prompts: Tensor) -> tuple[Tensor, Tensor]:
    """The same by the modules of ``transformers``, in their order of operations; ``image`` must be in fp32."""
    batch = len(prompts)
    maps = [part.T[None, :, :, None].expand(batch, -1, -1, -1) for part in (image.source, image.position)]
    tokens, pixels = transformer(prompts[:, None], *maps, attention_similarity=None)
    return tokens[:, 0], pixels[:, 0]


def _self_attention(layer: Any, tokens: Tensor, prompts: Tensor) -> Tensor:
    """Attention among the tokens of each prompt, with the residual where the layer has one: (B, tokens, C)."""
    if layer.skip_first_layer_pe:
        attended: Tensor = layer.self_attn(tokens[:, None], tokens[:, None], tokens[:, None])[0]
        return attended[:, 0]
    placed = (tokens + prompts)[:, None]
    attended = layer.self_attn(placed, placed, tokens[:, None])[0]
    return tokens + attended[:, 0]


def _gather_first(attention: Any, placed_tokens: Tensor, image: ImageSide) -> Tensor:
    """Attention of tokens to the pixels of the first layer, by keys and values computed beforehand."""
    batch = len(placed_tokens)
    query = _by_head(attention.q_proj(placed_tokens).flatten(0, 1) * attention.scaling, attention)
    weights = (query.to(image.keys.dtype) @ image.keys.transpose(1, 2)).softmax(-1)
    gathered = (weights @ image.values).transpose(0, 1).flatten(1).unflatten(0, (batch, -1))
    output = _output(attention)
    return F.linear(gathered.float(), output.weight, output.bias)


def _gather(attention: Any, placed_tokens: Tensor, pixels: Tensor, placed: Tensor) -> Tensor:
    """Attention of tokens to pixels (B, pixels, C); ``placed`` are the pixels with their positions: (B, tokens, C)."""
    heads = attention.num_attention_heads
    query = attention.q_proj(placed_tokens).unflatten(2, (heads, -1)) * attention.scaling
    folded = torch.einsum("bthd,hdc->bhtc", query, attention.k_proj.weight.unflatten(0, (heads, -1)))
    weights = (folded.flatten(1, 2).to(placed.dtype) @ placed.transpose(1, 2)).softmax(-1)
    pooled = (weights @ pixels).float().unflatten(1, (heads, -1))
    value = attention.v_proj
    gathered = torch.einsum("bhtc,hdc->bthd", pooled, value.weight.unflatten(0, (heads, -1))).flatten(2) + value.bias
    output = _output(attention)
    return F.linear(gathered, output.weight, output.bias)


def _scores_first(attention: Any, placed_tokens: Tensor, image: ImageSide) -> Tensor:
    """Scores of the first layer's pixels for the tokens, (B, heads, tokens, pixels), by queries computed beforehand."""
    batch = len(placed_tokens)
    key = _by_head(attention.k_proj(placed_tokens).flatten(0, 1) * attention.scaling, attention)
    scores: Tensor = key.to(image.queries.dtype) @ image.queries.transpose(1, 2)
    by_prompt: Tensor = scores.unflatten(1, (batch, -1)).transpose(0, 1)
    return by_prompt


def _spread(
    attention: Any, tokens: Tensor, prompts: Tensor, pixels: Tensor, placed: Tensor, scores: Tensor | None
) -> Tensor:
    """Attention of pixels to tokens, with the residual: (B, pixels, C). ``scores`` are given for the first layer."""
    heads = attention.num_attention_heads
    if scores is None:
        key = attention.k_proj(tokens + prompts).unflatten(2, (heads, -1)) * attention.scaling
        query = attention.q_proj
        folded = torch.einsum("bthd,hdc->bhtc", key, query.weight.unflatten(0, (heads, -1))).flatten(1, 2)
        offset = torch.einsum("bthd,hd->bht", key, query.bias.unflatten(0, (heads, -1))).flatten(1)[..., None]
        raised = torch.baddbmm(offset.to(placed.dtype), folded.to(placed.dtype), placed.transpose(1, 2))
        scores = raised.unflatten(1, (heads, -1))
    weights = scores.softmax(2).flatten(1, 2)
    value = attention.v_proj(tokens).unflatten(2, (heads, -1))
    output = _output(attention)
    spread = torch.einsum("bthd,chd->bhtc", value, output.weight.unflatten(1, (heads, -1))).flatten(1, 2)
    # The weights of each head sum to 1, so the output's bias can stand in the first head's values.
    spread[:, : tokens.shape[1]] += output.bias
    return torch.baddbmm(pixels.expand(len(tokens), -1, -1), weights.transpose(1, 2), spread.to(pixels.dtype))


def _norm(norm: nn.LayerNorm, pixels: Tensor) -> Tensor:
    weight, bias = norm.weight.to(pixels.dtype), norm.bias.to(pixels.dtype)
    return F.layer_norm(pixels, norm.normalized_shape, weight, bias, norm.eps)


def _by_head(projected: Tensor, attention: Any) -> Tensor:
    """(rows, heads * d) to (heads, rows, d), contiguous."""
    by_head: Tensor = projected.unflatten(-1, (attention.num_attention_heads, -1)).transpose(0, 1)
    return by_head.contiguous()


def _output(attention: Any) -> nn.Linear:
    """The output projection, which SAM 2 names otherwise."""
    projection: nn.Linear = attention.out_proj if hasattr(attention, "out_proj") else attention.o_proj
    return projection
