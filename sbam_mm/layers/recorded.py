# Copyright (c) OpenMMLab. All rights reserved.
"""Attention that keeps its maps, where they are to be learnt or looked at."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .packing import PackedLayout
from .segment_bias import SegmentRelation


class RecordedAttention:
    """One layer's attention by the textbook, whose probabilities are kept.

    Takes the place of the fused kernel in one pass. The matrices stay in
    memory, with their gradients where there are any: B * heads * n^2 numbers
    of 4 bytes per layer.

    Args:
        relation (SegmentRelation, optional): The layer's segment bias.
            Defaults to None: no bias.

    Attributes:
        maps (list[Tensor]): Of the last call: float32 (images, heads, n, n)
            for each group of equally long images, in the packed order.

    Example:
        >>> layout = PackedLayout(torch.tensor([[True, True], [False, True]]))
        >>> attend = RecordedAttention()
        >>> out = attend(*torch.randn(3, 3, 1, 4), layout)
        >>> [tuple(each.shape) for each in attend.maps]
        [(1, 1, 1, 1), (1, 1, 2, 2)]
    """

    def __init__(self, relation: SegmentRelation | None = None):
        self.relation = relation
        self.maps: list[Tensor] = []

    def __call__(self,
                 q: Tensor,
                 k: Tensor,
                 v: Tensor,
                 layout: PackedLayout,
                 dropout: float = 0.) -> Tensor:
        """Attend within images: three of (T, heads, d) -> (T, heads, d).

        What is recorded is what there was before the dropout.
        """
        ids = None
        if self.relation is not None:
            ids = self.relation.segments.packed(layout)
        self.maps, outs = [], []
        with torch.autocast(q.device.type, enabled=False):
            for rows, group in layout.slices():
                query, key, value = (
                    x[rows].float().view(*group, *x.shape[1:]).transpose(1, 2)
                    for x in (q, k, v))
                logits = query @ key.transpose(2, 3)
                if self.relation is not None and ids is not None:
                    logits = logits + self.relation.matrix(
                        ids[rows].view(group))
                probabilities = (logits * q.shape[2]**-0.5).softmax(dim=-1)
                self.maps.append(probabilities)
                kept = F.dropout(probabilities, dropout)
                out = (kept @ value).transpose(1, 2)
                outs.append(out.flatten(0, 1).to(v.dtype))
        return torch.cat(outs)
