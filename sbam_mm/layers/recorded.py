# Copyright (c) OpenMMLab. All rights reserved.
"""Attention that keeps its maps, where they are to be learnt or looked at."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sbam_mm.packed import PackedLayout


class RecordedAttention:
    """One layer's attention by the textbook, whose probabilities are kept.

    Takes the place of the fused kernel in one pass. The matrices stay in
    memory, with their gradients where there are any: B * heads * n^2 numbers
    of 4 bytes per layer.

    Args:
        biased (optional): A kernel whose ``matrix(layout, rows, group)`` is
            added to the logits before they are divided by the root of the
            channels, (images, heads, n, n), as that of
            :class:`sbam_mm.segments.SegmentRelation`.

    Attributes:
        maps (list[Tensor]): Of the last call, before dropout: float32
            (images, heads, n, n) for each group of equally long images, in
            the packed order.
    """

    def __init__(self, biased: Any = None):
        self.biased = biased
        self.maps: list[Tensor] = []

    def __call__(self,
                 q: Tensor,
                 k: Tensor,
                 v: Tensor,
                 layout: PackedLayout,
                 dropout: float = 0.) -> Tensor:
        """Attend within images: three of (T, heads, d) -> (T, heads, d)."""
        self.maps, outs = [], []
        with torch.autocast(q.device.type, enabled=False):
            for rows, group in layout.slices():
                query, key, value = (
                    x[rows].float().view(*group, *x.shape[1:]).transpose(1, 2)
                    for x in (q, k, v))
                logits = query @ key.transpose(2, 3)
                if self.biased is not None:
                    logits = logits + self.biased.matrix(layout, rows, group)
                probabilities = (logits * q.shape[2]**-0.5).softmax(dim=-1)
                self.maps.append(probabilities)
                kept = F.dropout(probabilities, dropout)
                out = (kept @ value).transpose(1, 2)
                outs.append(out.flatten(0, 1).to(v.dtype))
        return torch.cat(outs)
