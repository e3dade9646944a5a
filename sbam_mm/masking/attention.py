# Copyright (c) OpenMMLab. All rights reserved.
"""Salience from the attention of a trained or training encoder."""
import warnings

from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .parts import Part
from .types import MaskingContext

QUERIES = ('cls', 'patches', 'all')
JOINED = ('last', 'mean', 'sum')
# What the model is asked for, by whose attention it is.
PROVIDED_AS = {'self': 'attention', 'teacher': 'teacher_attention'}


class AttentionSalience(Part):
    """Attention that patches receive in one block of an encoder.

    The encoder runs on all tokens and without gradient. Which one is
    ``source``: the model's own, or a teacher that the model has.

    Args:
        source (str): "self", the encoder that is being trained, or
            "teacher", the model's teacher: ``model.teacher``, or the one a
            method with a momentum teacher has anyway.
        block (int): Which block, from 0; negative counts from the end. The
            last in AttMask and AMT; GPA uses 9 of 12.
        head (int or str): One head, from 0, or "last", or "mean" or "sum"
            over heads. "mean" in AttMask; GPA uses head 11. Negative numbers
            count from the end; say "last" instead of -1, which is the sum of
            all heads in GPA's Table 5.
        queries (str): Whose attention: "cls", the class token's (AttMask,
            AMT); "patches", summed over the queries of the patches (GPA's
            paper); or "all", summed over every query, the class token's
            included (GPA's code).
        softmax (bool): Probabilities (AttMask), or logits before the softmax
            (GPA).
        own_query (bool): Whether a sum over queries has the token's own in
            it, as in GPA's code; Eq. 5 of its paper leaves it out.
        normalize (str): "mean" scales the scores of an image to [0, 1] after
            heads are joined (AttMask, AMT's paper); "head" scales every head
            before (AMT's code).

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

    def __init__(self,
                 block: int = -1,
                 head: int | str = 'mean',
                 queries: str = 'cls',
                 softmax: bool = True,
                 own_query: bool = True,
                 normalize: str = 'mean',
                 source: str = 'self'):
        super().__init__()
        if source not in PROVIDED_AS:
            raise UserError(
                f'source must be "self" or "teacher", got {source!r}.')
        if normalize not in ('mean', 'head'):
            raise UserError(
                f'normalize must be "mean" or "head", got {normalize!r}.')
        if isinstance(head, str) and head not in JOINED:
            raise UserError(f'head must be a number from 0, "last", "mean" '
                            f'or "sum", got {head!r}.')
        if queries not in QUERIES:
            raise UserError(
                'queries must be "cls", "patches" or "all", got '
                f'{queries!r}.')
        if head == -1:
            warnings.warn(
                "head=-1 is the last head here and the sum of all heads in "
                "GPA's paper; write head='last' or head='sum'.",
                DeprecationWarning, stacklevel=2)
        self.block = block
        self.head = head
        self.queries = queries
        self.softmax = softmax
        self.own_query = own_query
        self.normalize = normalize
        self.source = source

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({PROVIDED_AS[self.source]})

    def forward(self, context: MaskingContext) -> Tensor:
        return join_heads(self._received(context), self.head, self.normalize)

    def unscaled(self, context: MaskingContext) -> Tensor:
        """The scores (B, L) without scaling to [0, 1]."""
        return one_head(self._received(context), self.head)

    def _received(self, context: MaskingContext) -> Tensor:
        return context.ask(PROVIDED_AS[self.source], self.block,
                           self.queries, self.softmax, self.own_query)


def join_heads(received: Tensor,
               head: int | str = 'mean',
               normalize: str = 'mean') -> Tensor:
    """One score per token (B, L) in [0, 1] from the attention in every head.

    Args:
        received (Tensor): (B, heads, L).
        normalize (str): Scale to [0, 1] the joined scores ("mean"), or every
            head before joining ("head").

    Example:
        >>> import torch
        >>> join_heads(torch.tensor([[[0., 2.], [4., 0.]]])).tolist()
        [[1.0, 0.0]]
    """
    heads = received.shape[1]
    if normalize == 'head':
        received = F.min_max(received.flatten(0, 1)).unflatten(0, (-1, heads))
    scores = one_head(received, head)
    return scores if normalize == 'head' else F.min_max(scores)


def one_head(received: Tensor, head: int | str) -> Tensor:
    """Of (B, heads, L) one head, "last", or "mean" or "sum" over all."""
    if head == 'mean':
        return received.mean(dim=1)
    if head == 'sum':
        return received.sum(dim=1)
    heads = received.shape[1]
    number = -1 if head == 'last' else int(head)
    if not -heads <= number < heads:
        raise UserError(
            f'head {head} is asked for, but the block has heads 0 to '
            f'{heads - 1}; change `salience.head`.')
    return received[:, number]
