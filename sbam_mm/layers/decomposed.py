# Copyright (c) OpenMMLab. All rights reserved.
"""Attention with decomposed relative positions, in a fused kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor


def relative_rows(table: Tensor, size: int) -> Tensor:
    """Rows of a table of relative positions for all pairs on one axis.

    Args:
        table (Tensor): (2 * S - 1, C), offset -(S - 1) first; stretched
            linearly where ``size`` is not S.
        size (int): Positions on the axis.

    Returns:
        Tensor: (size, size, C), at query i and key j the row of i - j.

    Example:
        >>> relative_rows(torch.tensor([[-1.], [0.], [1.]]), 2)[..., 0]
        tensor([[ 0., -1.],
                [ 1.,  0.]])
    """
    if len(table) != 2 * size - 1:
        table = F.interpolate(
            table.T[None], size=2 * size - 1, mode='linear')[0].T
    places = torch.arange(size, device=table.device)
    return table[places[:, None] - places + size - 1]


def decomposed_attention(q: Tensor,
                         k: Tensor,
                         v: Tensor,
                         table_h: Tensor,
                         table_w: Tensor,
                         grid: tuple[int, int],
                         dropout: float = 0.) -> Tensor:
    """Softmax of q k / sqrt(C) plus q R of the vertical and horizontal offset.

    The second part depends on the key only through its row and its column,
    so it is an inner product too: queries carry their H + W values q R, keys
    a one in the place of their row and of their column. One call of
    ``scaled_dot_product_attention`` computes it all, and no matrix over all
    pairs of tokens is ever stored, which a bias would need.

    Source: Li et al., *MViTv2*, CVPR 2022, Eq. 4; Li et al., *Exploring Plain
    Vision Transformer Backbones for Object Detection*, ECCV 2022.

    Args:
        q, k, v (Tensor): (B, heads, E + H * W, C), as the result; E tokens
            without a place (a class token) come first and take no part in
            relative positions.
        table_h, table_w (Tensor): (2 * S - 1, C); see :func:`relative_rows`.
        grid (tuple[int, int]): Rows H and columns W of the tokens.

    Example:
        >>> q, k, v = torch.randn(3, 2, 4, 6, 8)
        >>> zeros = torch.zeros(3, 8), torch.zeros(5, 8)
        >>> plain = F.scaled_dot_product_attention(q, k, v)
        >>> fused = decomposed_attention(q, k, v, *zeros, grid=(2, 3))
        >>> torch.allclose(fused, plain, atol=1e-6)
        True
    """
    height, width = grid
    extra, channels = q.shape[2] - height * width, q.shape[-1]
    placed = q[:, :, extra:].unflatten(2, grid)
    rows_h = relative_rows(table_h.to(q.dtype), height)
    rows_w = relative_rows(table_w.to(q.dtype), width)
    values = torch.cat((torch.einsum('bnhwc,hkc->bnhwk', placed, rows_h),
                        torch.einsum('bnhwc,wkc->bnhwk', placed, rows_w)), -1)
    values = values.flatten(2, 3)
    of_row = torch.eye(height, device=q.device, dtype=q.dtype)
    of_column = torch.eye(width, device=q.device, dtype=q.dtype)
    ones = torch.cat((of_row.repeat_interleave(width, 0),
                      of_column.repeat(height, 1)), -1)
    # Kernels want a multiple of 8 channels; the scale of the logits is not
    # for the second part.
    spare = -(channels + height + width) % 8
    values = F.pad(values * channels**0.5, (0, spare, extra, 0))
    ones = F.pad(ones, (0, spare, extra, 0)).expand(*k.shape[:3], -1)
    return F.scaled_dot_product_attention(
        torch.cat([q, values], dim=-1),
        torch.cat([k, ones], dim=-1),
        v,
        dropout_p=dropout,
        scale=channels**-0.5)
