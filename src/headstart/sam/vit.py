"""The image encoder of SAM and SAM-HQ, a plain vision transformer, in bounded memory.

The weights and their names are those of ``transformers``' ``SamVisionEncoder`` (Kirillov et al. 2023, appendix A;
windowed and global attention with decomposed relative positions, Li et al. 2022). Three things differ from its forward
pass, none of them in the result: the scores of global attention are computed for blocks of queries, never all at once
(for a 1024 pixel image they are 12 x 4096 x 4096); queries, keys and values are projected before the map is padded to
whole windows, where a padded token's are the bias; the residual stream stays in fp32 where the matrix products are in
bf16.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUERY_BLOCK = 512
"""Queries of global attention whose scores (times 4096 keys) are held at a time."""


def encode_vit(encoder: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Image embedding (1, 256, h, w) and the map after the first global layer (1, h, w, channels), both fp32.

    Args:
        encoder: a ``SamVisionEncoder`` or ``SamHQVisionEncoder``; its linear layers may be in bf16.
        pixels: (1, 3, side, side), normalised and padded, fp32.
    """
    tokens = _module(encoder.patch_embed.projection, pixels).permute(0, 2, 3, 1).float()
    if encoder.pos_embed is not None:
        tokens = tokens + encoder.pos_embed
    early = None
    for layer in encoder.layers:
        normed = _norm(layer.layer_norm1, tokens)
        tokens = tokens + _attention(layer, normed)
        hidden = _module(layer.mlp.lin1, _norm(layer.layer_norm2, tokens))
        tokens = tokens + _module(layer.mlp.lin2, layer.mlp.act(hidden)).float()
        if early is None and layer.window_size == 0:
            early = tokens
    neck = encoder.neck
    maps = _module(neck.conv1, tokens.permute(0, 3, 1, 2))
    maps = _module(neck.conv2, neck.layer_norm1(maps.float()))
    embedding: Tensor = neck.layer_norm2(maps.float())
    return embedding, tokens if early is None else early


def _module(module: nn.Module, inputs: Tensor) -> Tensor:
    """A linear layer or convolution in the precision of its own weights."""
    outputs: Tensor = module(inputs.to(next(module.parameters()).dtype))
    return outputs


def _norm(norm: nn.LayerNorm, tokens: Tensor) -> Tensor:
    """Layer norm in fp32."""
    return F.layer_norm(tokens, norm.normalized_shape, norm.weight.float(), norm.bias.float(), norm.eps)


def _attention(layer: Any, tokens: Tensor) -> Tensor:
    """Self-attention of (1, h, w, C), within windows or over the whole map: (1, h, w, C) in fp32."""
    attention, size = layer.attn, layer.window_size
    heads = attention.num_attention_heads
    _, height, width, channels = tokens.shape
    qkv = _module(attention.qkv, tokens)
    side_h, side_w = (size, size) if size else (height, width)
    if size:
        qkv = _windows(qkv, size, attention.qkv.bias)
    qkv = qkv.view(-1, side_h * side_w, 3, heads, channels // heads).permute(2, 0, 3, 1, 4)
    query, key, value = qkv.reshape(3, -1, side_h * side_w, channels // heads)
    row_bias, col_bias = _relative(attention, query.view(-1, side_h, side_w, channels // heads))
    attend = _scored if size else _by_blocks
    out = attend(query * attention.scale, key.transpose(1, 2).contiguous(), value, row_bias, col_bias)
    out = out.view(-1, heads, side_h, side_w, channels // heads).permute(0, 2, 3, 1, 4).flatten(3)
    if size:
        out = _joined(out, height, width)
    return _module(attention.proj, out).float()


def _relative(attention: Any, query: Tensor) -> tuple[Tensor, Tensor]:
    """Relative positions' part of the scores: (batch, queries, rows of keys) and (batch, queries, columns of keys)."""
    batch, height, width, _ = query.shape
    if not attention.use_rel_pos:
        return query.new_zeros(batch, height * width, height), query.new_zeros(batch, height * width, width)
    by_row = attention.get_rel_pos(height, height, attention.rel_pos_h.float()).to(query)
    by_col = attention.get_rel_pos(width, width, attention.rel_pos_w.float()).to(query)
    rows = torch.einsum("bhwc,hkc->bhwk", query, by_row)
    cols = torch.einsum("bhwc,wkc->bhwk", query, by_col)
    return rows.flatten(1, 2), cols.flatten(1, 2)


def _scored(query: Tensor, transposed_key: Tensor, value: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Softmax attention of (batch, queries, d) over (batch, d, keys), the keys being a map of ``rows`` by ``cols``."""
    scores = torch.bmm(query, transposed_key).unflatten(2, (rows.shape[-1], cols.shape[-1]))
    scores += rows[..., None]
    scores += cols[..., None, :]
    return torch.bmm(scores.flatten(2).softmax(-1), value)


def _by_blocks(query: Tensor, transposed_key: Tensor, value: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """The same for one head and one block of queries at a time."""
    out = torch.empty_like(query)
    for head in range(len(query)):
        one = slice(head, head + 1)
        for start in range(0, query.shape[1], QUERY_BLOCK):
            part = slice(start, start + QUERY_BLOCK)
            out[one, part] = _scored(
                query[one, part], transposed_key[one], value[one], rows[one, part], cols[one, part]
            )
    return out


def _windows(qkv: Tensor, size: int, bias: Tensor | None) -> Tensor:
    """Cut (1, h, w, C) into windows (n, size, size, C); what lies beyond the map is the projection of a zero token."""
    _, height, width, channels = qkv.shape
    down, across = -(-height // size), -(-width // size)
    padded = qkv.new_zeros(down * size, across * size, channels)
    if bias is not None:
        padded += bias
    padded[:height, :width] = qkv[0]
    return padded.view(down, size, across, size, channels).permute(0, 2, 1, 3, 4).reshape(-1, size, size, channels)


def _joined(windows: Tensor, height: int, width: int) -> Tensor:
    """Windows (n, size, size, C) back to the map (1, h, w, C)."""
    size, channels = windows.shape[1], windows.shape[-1]
    down, across = -(-height // size), -(-width // size)
    whole = windows.view(down, across, size, size, channels).permute(0, 2, 1, 3, 4)
    return whole.reshape(1, down * size, across * size, channels)[:, :height, :width]
