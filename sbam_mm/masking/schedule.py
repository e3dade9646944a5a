# Copyright (c) OpenMMLab. All rights reserved.
"""Selections that change over the training: how firmly scores decide."""
import torch
from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .parts import Part
from .selection import Choice, hide_top, masked_counts, token_noise
from .types import MaskingContext


class SoftToHard(Part):
    """Some tokens by rank, some drawn by score, the rest at random.

    Of the masked tokens the share ``hard`` are those with the highest
    scores, the share ``soft`` is drawn without replacement with the scores
    as weights, and the others are any. Both shares move on straight lines
    with the progress of the training, or with a power of it. A token that is
    both drawn and among the highest counts once; a random one fills the gap.
    A share below 0 is of the tokens with the lowest scores instead.

    Source: Xi et al., *Global Patch-wise Attention is Masterful Facilitator
    for Masked Image Modeling* (GPA), ACM MM 2024. The defaults are the
    paper's: soft 0.5 to 0, hard 0 to 0.5. The official README's command has
    ``hard=(0, 0.5), soft=(0.3, 0)`` and the code's own defaults are
    ``hard=(0.2, 0.6), soft=(0.3, 0)``. Bit-equal to the official code for
    the same draws, shares and progress, which it counts in whole epochs.

    Args:
        hard (tuple[float, float]): Share of the masked tokens at progress 0
            and 1, in [-1, 1].
        soft (tuple[float, float]): The same, in [0, 1]; less where hard and
            soft would be more than all.
        power (float): Of the progress: 1 is a straight line, 2 starts late.

    Example:
        >>> S = torch.tensor([[0., .1, .2, 1.]])
        >>> end = MaskingContext(torch.zeros(1, 4, 2), (2, 2), progress=1.)
        >>> choice = SoftToHard()(S, 2, end)
        >>> choice.masked[0, 3].item(), choice.masked.sum().item()
        (True, 2)
    """
    uniform = True

    def __init__(self,
                 hard: tuple[float, float] = (0., 0.5),
                 soft: tuple[float, float] = (0.5, 0.),
                 power: float = 1.):
        super().__init__()
        for name, bounds, least in ('hard', hard, -1), ('soft', soft, 0):
            if len(bounds) != 2 or not all(least <= b <= 1 for b in bounds):
                raise UserError(
                    f'{name} holds two shares of the masked tokens in '
                    f'[{least}, 1], at the start and at the end, got '
                    f'{bounds}.')
        F.check_power(power)
        self.hard = hard
        self.soft = soft
        self.power = power

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext,
                noise: Tensor | None = None,
                exponential: Tensor | None = None) -> Choice:
        """Choose.

        Args:
            noise (Tensor, optional): Where scores do not decide.
            exponential (Tensor, optional): Draws from Exp(1), (B, L), of the
                soft part.
        """
        noise = token_noise(scores, noise)
        num_masked = masked_counts(scores, num_visible)
        hard = F.between(*self.hard, context.progress, self.power)
        soft = F.between(*self.soft, context.progress, self.power)
        num_hard = F.share_count(num_masked, abs(hard))
        num_soft = torch.minimum(
            F.share_count(num_masked, soft), num_masked - num_hard)
        first = F.top_rank(scores if hard >= 0 else -scores, noise) < num_hard
        if soft > 0:
            # Fresh draws: those made from `noise` would tie the soft choice
            # to the random one.
            if exponential is None:
                exponential = F.exponential_draws(token_noise(scores))
            order = F.weighted_order(scores, exponential)
            first |= F.order_to_rank(order) < num_soft
        return hide_top(torch.where(first, torch.inf, noise), num_visible)


class EasyToHard(SoftToHard):
    """Random masks that turn into masks of the hardest tokens (HPM).

    A growing share of the masked tokens are those with the highest scores;
    the rest is random.

    Source: Wang et al., *Hard Patches Mining for Masked Image Modeling*,
    CVPR 2023, whose scores are predicted losses. The official code grows the
    share in whole epochs, counted from 1, to a half; here it follows the
    progress of the training. Bit-equal for the same progress and draws.

    Args:
        start, end (float): Share of the masked tokens at progress 0 and 1.
            Below 0 it is of the easiest tokens: ``start=-0.5`` begins with
            masks that are easier than random ones.
        power: See :class:`SoftToHard`.
    """

    def __init__(self, start: float = 0., end: float = 0.5,
                 power: float = 1.):
        super().__init__(hard=(start, end), soft=(0., 0.), power=power)
