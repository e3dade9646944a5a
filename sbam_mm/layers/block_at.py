# Copyright (c) OpenMMLab. All rights reserved.
"""A transformer layer whose output is wanted at some places only."""
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import attention_dropout, check_paths
from .checkpointing import recomputable
from .packed_cross import packed_cross_attention
from .packing import PackedLayout


@recomputable
def block_at(layer: nn.Module, x: Tensor, layout: PackedLayout) -> Tensor:
    """Run an mmpretrain ``TransformerEncoderLayer`` for some of its tokens.

    All tokens are keys and values, those of the layout alone are queries and
    go through the feed-forward network. What the layer gives at their places
    is the same.

    Args:
        layer (TransformerEncoderLayer): The layer with the parameters.
        x (Tensor): Its input, (B, N, D).
        layout (PackedLayout): Whose output is wanted, over the last n <= N
            columns (a class token in front need not be told).

    Returns:
        Tensor: (T, D), packed.

    Example:
        >>> import torch
        >>> from mmpretrain.models.backbones.vision_transformer import (
        ...     TransformerEncoderLayer)
        >>> layer = TransformerEncoderLayer(8, 2, 16)
        >>> x, wanted = torch.randn(2, 5, 8), torch.rand(2, 4) < 0.5
        >>> layout = PackedLayout(wanted)
        >>> whole = layout.pack(layer(x)[:, 1:])
        >>> torch.allclose(block_at(layer, x, layout), whole, atol=1e-6)
        True
    """
    attn, dim = layer.attn, x.shape[-1]
    first = x.shape[1] - layout.shape[1]
    places = layout.index + first * (layout.index // layout.shape[1] + 1)
    own = x.flatten(0, 1).index_select(0, places)
    check_paths(layer, own)
    weight, bias = attn.qkv.weight, attn.qkv.bias
    query_bias = None if bias is None else bias[:dim]
    other_bias = None if bias is None else bias[dim:]
    # A norm is cheaper than a copy of the normed tokens and its gradient.
    query = F.linear(layer.ln1(own), weight[:dim], query_bias)
    key, value = F.linear(layer.ln1(x), weight[dim:], other_bias).unflatten(
        -1, (2, attn.num_heads, -1)).unbind(2)
    attended = packed_cross_attention(
        query.unflatten(-1, (attn.num_heads, -1)),
        key,
        value,
        layout,
        dropout=attention_dropout(attn))
    out = attn.proj_drop(attn.proj(attended.flatten(1)))
    own = own + attn.out_drop(attn.gamma1(out))
    return layer.ffn(layer.ln2(own), identity=own)
