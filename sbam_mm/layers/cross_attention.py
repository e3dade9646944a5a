# Copyright (c) OpenMMLab. All rights reserved.
"""Attention of one set of tokens to another, of any width."""

import torch.nn.functional as F
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Tokens ask a memory that may be wider, and shorter for some images.

    Args:
        dim (int): Width of the tokens.
        memory_dim (int): Width of the memory.
        num_heads (int): Divides ``dim``.

    Example:
        >>> import torch
        >>> attention = CrossAttention(8, 12, num_heads=2)
        >>> attention(torch.randn(2, 5, 8), torch.randn(2, 3, 12)).shape
        torch.Size([2, 5, 8])
    """

    def __init__(self, dim: int, memory_dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim)
        # A bias of the keys would drop out of the softmax.
        self.k = nn.Linear(memory_dim, dim, bias=False)
        self.v = nn.Linear(memory_dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self,
                x: Tensor,
                memory: Tensor,
                keep: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x (Tensor): (B, N, dim).
            memory (Tensor): (B, M, memory_dim).
            keep (Tensor, optional): Boolean (B, M), True = may be attended
                to; at least one per image. Defaults to None: all.

        Returns:
            Tensor: (B, N, dim).
        """
        q, k, v = (
            layer(tokens).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.q, x), (self.k, memory),
                                  (self.v, memory)))
        mask = None if keep is None else keep[:, None, None]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).flatten(2))
