# Copyright (c) OpenMMLab. All rights reserved.
"""Attention of packed queries with dense keys."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import runs_varlen, varlen_attn
from .packing import PackedLayout


def packed_cross_attention(q: Tensor,
                           k: Tensor,
                           v: Tensor,
                           layout: PackedLayout,
                           keep: Tensor | None = None,
                           dropout: float = 0.) -> Tensor:
    """Attention of every query with the keys of its own image.

    As :func:`packed_attention`: one kernel on CUDA in half precision, one
    dense call for every number of queries that occurs elsewhere.

    Args:
        q (Tensor): Queries, (T, heads, head_dim).
        k, v (Tensor): Keys and values, (B, N, heads, head_dim).
        layout (PackedLayout): Where each image's queries stand.
        keep (Tensor, optional): Boolean (B, N), which keys count. Defaults
            to None: all.
        dropout (float): Of the probabilities; see :func:`packed_attention`.
            Defaults to 0.

    Returns:
        Tensor: (T, heads, head_dim).

    Example:
        >>> layout = PackedLayout(torch.tensor([[True, True], [False, True]]))
        >>> k = torch.randn(2, 3, 1, 4)
        >>> out = packed_cross_attention(torch.zeros(3, 1, 4), k, k, layout)
        >>> torch.allclose(out[1], k[0].mean(0))  # the shortest comes first
        True
    """
    if layout.order is not None:
        k, v = k[layout.order], v[layout.order]
        keep = None if keep is None else keep[layout.order]
    if keep is None and not dropout and runs_varlen(q):
        keys = k.shape[1]
        ends = keys * torch.arange(
            len(k) + 1, dtype=torch.int32, device=k.device)
        out = varlen_attn(q, k.flatten(0, 1), v.flatten(0, 1),
                          layout.cu_seqlens, ends, layout.max_length, keys)
        assert isinstance(out, Tensor)
        return out
    outs, begin, image = [], 0, 0
    for images, length in layout.groups:
        rows = slice(image, image + images)
        image += images
        if not length:
            continue
        queries = q[begin:begin + images * length]
        begin += images * length
        out = F.scaled_dot_product_attention(
            queries.unflatten(0, (images, length)).transpose(1, 2),
            k[rows].transpose(1, 2), v[rows].transpose(1, 2),
            None if keep is None else keep[rows, None, None], dropout)
        outs.append(out.transpose(1, 2).flatten(0, 1))
    return torch.cat(outs) if outs else q
