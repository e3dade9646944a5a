# Copyright (c) OpenMMLab. All rights reserved.
"""BootMAE's masks: rectangles, and single tokens beside them."""
import torch
from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .blocks import block_masks, check_search
from .maskers import Masker
from .parts import Part
from .ratio import FixedRatio
from .salience import NoSalience
from .selection import Choice, masked_counts, one_count, token_noise
from .types import MaskingContext

# Rectangles in a row that must not fit before the search is given up: so many
# that it meets its count wherever one can still fit.
ATTEMPTS = 1000


def rolled_top(key: Tensor, num_visible: int | Tensor,
               roll: int = 0) -> Tensor:
    """Hide the tokens with the highest keys, except for the ``roll`` highest.

    As many of the next ones are hidden in their place. The official code
    rolls the sorted order before it cuts it, which does the same.

    Args:
        key (Tensor): (B, L).
        num_visible (int or Tensor): One for all images or (B,).
        roll (int): Tokens from the top that stay visible; at most as many
            as are visible.

    Example:
        >>> rolled_top(torch.tensor([[4., 3., 2., 1.]]), 2, roll=1).tolist()
        [[False, True, True, False]]
    """
    rank = F.order_to_rank(torch.argsort(key, dim=1, stable=True))
    count = key.shape[1] - masked_counts(key, num_visible)
    shift = count.clamp(max=roll)
    return (rank >= count - shift) & (rank < key.shape[1] - shift)


class BlocksAndTokens(Part):
    """Hide rectangles (BEiT) that cover a part, and random tokens besides.

    Scores play no part. The rectangles are searched on the CPU with torch's
    CPU generator.

    Args:
        share (float): Of the hidden tokens, how many the rectangles cover.
        min_area, max_area (int): Of a rectangle, in tokens.
        min_aspect (float): See :func:`block_mask`.
        roll (int): The official code leaves 0 to this many tokens inside
            rectangles visible, one number drawn for the batch, and hides as
            many others: 3 there, none in the paper.
    """
    uniform = True

    def __init__(self,
                 share: float = 120 / 147,
                 min_area: int = 16,
                 max_area: int = 60,
                 min_aspect: float = 0.3,
                 roll: int = 0):
        super().__init__()
        if not 0 <= share <= 1:
            raise UserError(f'share is the part of the hidden tokens that '
                            f'rectangles cover, in [0, 1], got {share}; '
                            'BootMAE uses 120 / 147.')
        check_search(min_area, max_area, min_aspect)
        if roll < 0:
            raise UserError(f'roll counts tokens that are shown again and '
                            f'cannot be {roll}; 0 shows none.')
        self.share = share
        self.min_area = min_area
        self.max_area = max_area
        self.min_aspect = min_aspect
        self.roll = roll

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext,
                noise: Tensor | None = None) -> Choice:
        """Choose; ``noise`` (B, L) decides among tokens outside blocks."""
        blocks = self.rectangles(context, num_visible)
        roll = int(torch.randint(self.roll + 1, ())) if self.roll else 0
        # Tokens of rectangles rank above all others.
        key = blocks + 0.5 * token_noise(scores, noise)
        return Choice(
            rolled_top(key, num_visible, roll),
            num_visible=one_count(num_visible))

    def rectangles(self, context: MaskingContext,
                   num_visible: int | Tensor) -> Tensor:
        return block_masks(
            context,
            num_visible,
            self.share,
            min_area=self.min_area,
            max_area=self.max_area,
            min_aspect=self.min_aspect,
            attempts=ATTEMPTS)


class BootMAEMasker(Masker):
    """Block-wise masks with random tokens besides: 120 + 27 of 196 tokens.

    Source: Dong et al., *Bootstrapped Masked Autoencoders for Vision BERT
    Pretraining*, ECCV 2022; the counts are those of the official scripts.

    Args:
        **blocks: Options of :class:`BlocksAndTokens`; ``roll=3`` is the
            official code.
    """
    takes_options_of = BlocksAndTokens

    def __init__(self,
                 ratio: float = 0.75,
                 rounding: str = 'floor',
                 **blocks):
        super().__init__(NoSalience(), FixedRatio(ratio, rounding),
                         BlocksAndTokens(**blocks))
