# Copyright (c) OpenMMLab. All rights reserved.
"""Salience from the attention of a trained or training encoder."""
from typing import FrozenSet

from torch import Tensor, nn

from sbam_mm.registry import MODELS

from . import functional as F
from .types import MaskingContext


@MODELS.register_module()
class AttentionSalience(nn.Module):
    """Attention that patches receive in one block of an encoder.

    The model that masks provides the encoder: MAE its own, on all tokens and
    without gradient.

    Args:
        block (int): Which block, from 0; negative counts from the end.
            Defaults to -1, the last (AttMask, AMT); GPA uses 9 of 12.
        head (int or str): One head, or "mean" or "sum" over heads. Defaults
            to "mean" (AttMask); GPA uses head 11.
        queries (str): Whose attention: "cls", the class token's (AttMask,
            AMT), or "all", summed over every query (GPA; the class token's
            query and the token's own are included, as in GPA's code, where
            the paper's Eq. 5 leaves the token's own out). Defaults to "cls".
        softmax (bool): Probabilities (AttMask), or logits before the softmax
            (GPA). Defaults to True.

    Returns:
        Tensor: float32 (B, L), min-max scaled to [0, 1] for each image.

    Source: Kakogeorgiou et al., *What to Hide from Your Students:
    Attention-Guided Masked Image Modeling*, ECCV 2022, section 3.2; GPA (ACM
    MM 2024), Eq. 5.

    Example::

        masker = dict(
            type='sbam_mm.Masker',
            salience=dict(type='sbam_mm.AttentionSalience'),
            ratio=dict(type='sbam_mm.AdaptiveRatio'),
            selection=dict(type='sbam_mm.NoisyTopK', noise=0.5))
    """
    needs: FrozenSet[str] = frozenset({'attention'})

    def __init__(self,
                 block: int = -1,
                 head: int | str = 'mean',
                 queries: str = 'cls',
                 softmax: bool = True):
        super().__init__()
        if isinstance(head, str) and head not in ('mean', 'sum'):
            raise ValueError(
                f'head must be a number, "mean" or "sum", got {head!r}.')
        if queries not in ('cls', 'all'):
            raise ValueError(
                f'queries must be "cls" or "all", got {queries!r}.')
        self.block = block
        self.head = head
        self.queries = queries
        self.softmax = softmax

    def extra_repr(self) -> str:
        return (f'block={self.block}, head={self.head!r}, '
                f'queries={self.queries!r}, softmax={self.softmax}')

    def forward(self, context: MaskingContext) -> Tensor:
        received = context.ask('attention', self.block, self.queries,
                               self.softmax)
        if self.head == 'mean':
            scores = received.mean(dim=1)
        elif self.head == 'sum':
            scores = received.sum(dim=1)
        else:
            heads = received.shape[1]
            if not -heads <= int(self.head) < heads:
                raise ValueError(
                    f'head {self.head} is asked for, but the block has heads '
                    f'0 to {heads - 1}; change `salience.head`.')
            scores = received[:, int(self.head)]
        return F.min_max(scores)
