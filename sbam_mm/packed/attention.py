# Copyright (c) OpenMMLab. All rights reserved.
"""The attention kernel: which one runs is decided here and nowhere else."""
from collections.abc import Callable
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.run_switches import is_exact

from .layout import PackedLayout, Spans

try:
    # Public since torch 2.10. Only the first seven arguments, by position:
    # the others were renamed between releases.
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None  # type: ignore[assignment]

# How a layer attends where it is not plainly: from packed queries, keys and
# values, (T, heads, head_dim) each, their layout and a dropout probability to
# what each query gathers, (T, heads, head_dim).
Attend = Callable[[Tensor, Tensor, Tensor, PackedLayout, float], Tensor]


def runs_varlen(x: Tensor, head_dims: int | None = None) -> bool:
    """Whether the variable-length flash kernel runs for these queries.

    It wants an Ampere GPU or newer and 8 to 256 channels in steps of 8.

    Args:
        x (Tensor): Queries, (..., head_dims), or with ``head_dims`` the
            tokens that a linear layer will make them of.
    """
    if varlen_attn is None or not x.is_cuda:
        return False
    dtype = x.dtype
    if head_dims is not None and torch.is_autocast_enabled('cuda'):
        dtype = torch.get_autocast_dtype('cuda')
    width = head_dims or x.shape[-1]
    return (dtype in (torch.float16, torch.bfloat16)
            and width % 8 == 0 and width <= 256
            and torch.cuda.get_device_capability(x.device) >= (8, 0)
            and not is_exact())


def check_order(layout: PackedLayout, keys: PackedLayout) -> None:
    """Stop if queries would attend to the keys of another image."""
    if keys.order is not layout.order:
        raise UserError(
            'queries and keys stand in different orders of images; make the '
            'layout of the one from that of the other, by PackedLayout.beside '
            'or PackedLayout.whole.')


def packed_attention(q: Tensor,
                     k: Tensor,
                     v: Tensor,
                     layout: PackedLayout,
                     dropout: float = 0.,
                     keys: PackedLayout | None = None,
                     bias: Tensor | None = None) -> Tensor:
    """Attention of queries to the keys of their own image; nothing is padded.

    On CUDA in half precision it is one variable-length flash kernel;
    elsewhere, and with dropout or a bias, images with equally many queries
    and keys share one call of ``scaled_dot_product_attention``.

    Args:
        q (Tensor): (T, heads, head_dim), as the result.
        k, v (Tensor): (S, heads, head_dim).
        layout (PackedLayout): Of the queries.
        keys (PackedLayout, optional): Of keys and values, in the image order
            of ``layout``. Defaults to None: that of the queries.
        bias (Tensor, optional): Added to the logits, (heads, N, N) over the
            N places of ``layout``.

    Raises:
        UserError: If the two layouts order the images differently.

    Example:
        >>> layout = PackedLayout(torch.tensor([[True, True], [False, True]]))
        >>> k = torch.randn(6, 1, 4)
        >>> out = packed_attention(torch.zeros(3, 1, 4), k, k, layout,
        ...                        keys=PackedLayout.whole(
        ...                            torch.zeros(2, 3), layout.order))
        >>> torch.allclose(out[1], k[3:].mean(0))  # the shortest comes first
        True
    """
    keys = keys or layout
    check_order(layout, keys)
    if bias is None and not dropout and runs_varlen(q):
        return attend_spans(q, k, v, layout.spans, keys.spans)
    return grouped_attention(q, k, v, layout, dropout, keys, bias)


def attend_spans(q: Tensor, k: Tensor, v: Tensor, queries: Spans,
                 keys: Spans) -> Tensor:
    """:func:`packed_attention` by the variable-length kernel."""
    out = varlen_attn(q, k, v, queries.ends, keys.ends, queries.bound,
                      keys.bound)
    assert isinstance(out, Tensor)  # a tuple only if asked for
    return out


def grouped_attention(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout,
                      dropout: float, keys: PackedLayout,
                      bias: Tensor | None = None) -> Tensor:
    """The exact fallback: a dense call for each pair of lengths there is."""
    groups = [(len(list(images)), *pair) for pair, images in groupby(
        zip(layout.lengths, keys.lengths))]
    own = [count * queries for count, queries, _ in groups]
    other = [count * length for count, _, length in groups]
    # Split, not sliced: the gradient of a slice is as large as the whole.
    parts = zip(groups, q.split(own), k.split(other), v.split(other),
                [None] * len(own) if bias is None or layout.full
                else layout.index.split(own))
    outs = []
    for (count, queries, _), query, key, value, index in parts:
        if not queries:
            continue
        added = bias
        if bias is not None:
            added = bias[None] if index is None else bias_of_pairs(
                bias, (index % layout.shape[1]).view(count, -1))
        query, key, value = (x.unflatten(0, (count, -1)).transpose(1, 2)
                             for x in (query, key, value))
        out = F.scaled_dot_product_attention(query, key, value, added, dropout)
        outs.append(out.transpose(1, 2).flatten(0, 1))
    return torch.cat(outs) if outs else q


def bias_of_pairs(bias: Tensor, places: Tensor) -> Tensor:
    """Of (heads, N, N) that of kept tokens, int64 (B, n)."""
    pairs = bias[:, places[:, :, None], places[:, None, :]]
    return pairs.transpose(0, 1)
