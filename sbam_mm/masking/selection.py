# Copyright (c) OpenMMLab. All rights reserved.
"""Which tokens to hide: the last of a masker's three parts.

A selection is called with the scores (B, L), the number of tokens to leave
visible (int or (B,)), the :class:`MaskingContext` and, optionally, ``noise``:
draws from U[0, 1), (B, L), that replace torch's generator. It returns a
:class:`Choice`. ``uniform`` says beforehand whether it leaves equal counts
equal: it is False where a selection shows more tokens of some images than the
ratio asked for.

This file goes by the scores. Shapes are in ``shapes.py``, choices that change
over the training in ``schedule.py``, AttMask's hints in ``attmask.py``.
"""
from fractions import Fraction
from math import floor
from typing import NamedTuple

import torch
from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .parts import Part
from .types import MaskingContext


class Choice(NamedTuple):
    """Which tokens of each image are hidden.

    Attributes:
        masked (Tensor): Boolean (B, L), True = hidden and to be predicted.
        thrown (Tensor, optional): Boolean (B, L), True = in neither encoder,
            decoder nor loss.
        num_visible (int, optional): Tokens left visible where it is one
            number for the whole batch, known without asking the device.
        targets (Tensor, optional): See :class:`TokenMask`.
    """
    masked: Tensor
    thrown: Tensor | None = None
    num_visible: int | None = None
    targets: Tensor | None = None


def one_count(num_visible: int | Tensor) -> int | None:
    """The count if it is one number for the batch, otherwise None."""
    return num_visible if isinstance(num_visible, int) else None


def token_noise(scores: Tensor, noise: Tensor | None = None) -> Tensor:
    """One draw from U[0, 1) per token, or the injected ones checked."""
    if noise is None:
        return torch.rand_like(scores)
    if noise.shape != scores.shape:
        raise UserError(
            f'noise has the shape {tuple(noise.shape)} but the scores '
            f'have {tuple(scores.shape)}; give one draw per token.')
    return noise


def masked_counts(scores: Tensor, num_visible: int | Tensor) -> Tensor:
    """Tokens to hide in every image, int64 (B, 1)."""
    if isinstance(num_visible, Tensor):
        return scores.shape[1] - num_visible[:, None]
    # Filled on the device: a copied number would be waited for.
    return scores.new_full((len(scores), 1), scores.shape[1] - num_visible,
                           dtype=torch.long)


def hide_top(key: Tensor, num_visible: int | Tensor) -> Choice:
    """Hide the tokens with the highest keys; see ``functional.hide_top``."""
    return Choice(
        F.hide_top(key, num_visible), num_visible=one_count(num_visible))


def check_probability(probability: float) -> None:
    """Stop if no image could be masked."""
    if not 0 < probability <= 1:
        raise UserError(
            'probability is that of an image to be masked, in (0, 1], got '
            f'{probability}; iBOT uses 0.5, and so does AttMask.')


def images_to_mask(probability: float, batch_size: int, device: torch.device,
                   draws: Tensor | None = None) -> Tensor:
    """Whether each image is masked at all, boolean (B,)."""
    if draws is None:
        draws = torch.rand(batch_size, device=device)
    return draws <= probability


class NoisyTopK(Part):
    """Hide the tokens with the highest noisy score, S~ = S + N (section 3).

    Args:
        noise (float): N is uniform on [0, noise), fresh for every token and
            step. 0 makes the choice deterministic; large values approach
            random masking. The paper has 0.5.

    Example:
        >>> S = torch.tensor([[0., 1., .2, .1]])
        >>> NoisyTopK(noise=0)(S, 1).masked.tolist()
        [[False, True, True, True]]
    """
    uniform = True

    def __init__(self, noise: float = 0.5):
        super().__init__()
        if noise < 0:
            raise UserError(f'noise is the upper end of U(0, noise) and '
                            f'cannot be {noise}.')
        self.noise = noise

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext | None = None,
                noise: Tensor | None = None) -> Choice:
        return hide_top(scores + self.noise * token_noise(scores, noise),
                        num_visible)


class WeightedOrder(Part):
    """Draw tokens one by one, each as likely as its score among those left.

    The tokens drawn first are masked, the next are thrown and the rest stay
    visible. Sources: attention-driven masking and throwing, AM and AMT (Liu
    et al., *Good Helper Is around You: Attention-driven Masked Image
    Modeling*, AAAI 2023); with ``keep`` the sampling of MILAN (Hou et al.,
    *MILAN: Masked Image Pretraining on Language Assisted Representation*,
    2022). Bit-equal to both official codes for the same draws, with
    ``FixedRatio(rounding='ceil')`` for AMT, which rounds the masked tokens
    down, and the default "floor" for MILAN.

    Args:
        keep (bool): Keep the tokens drawn first visible and mask the last
            (MILAN); False masks the first (AM, AMT).
        throw (float): Share of all tokens that is thrown, taken from those
            the ratio leaves visible; AMT pairs 0.4 with a ratio of 0.45.
            Rounded to the nearest token, and at least one token stays
            visible. The official code takes the difference of two counts
            rounded down: the same number for AMT's settings at 36, 64, 144,
            196 and 256 tokens (and for its SimMIM variant's 49 cells, where
            both are rounded up), one token apart at some others.
        throw_last (bool): Throw the tokens drawn last and show the middle,
            the ablation of AMT's Table 4.

    Example:
        >>> S = torch.tensor([[0., 1., 0., 5.]])
        >>> choice = WeightedOrder(throw=0.25)(S, num_visible=2)
        >>> choice.masked.tolist(), int(choice.thrown.sum())
        ([[False, True, False, True]], 1)
    """
    uniform = True

    def __init__(self,
                 keep: bool = False,
                 throw: float = 0.,
                 throw_last: bool = False):
        super().__init__()
        if not 0 <= throw < 1:
            raise UserError(f'throw is a share of the tokens in [0, 1), got '
                            f'{throw}; AMT uses 0.4, AM 0.')
        self.keep = keep
        self.throw = throw
        self.throw_last = throw_last

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext | None = None,
                noise: Tensor | None = None,
                exponential: Tensor | None = None) -> Choice:
        """Choose; tokens with a score of 0 are drawn after all others.

        ``exponential``, draws from Exp(1), (B, L), replaces those made from
        ``noise``.
        """
        if exponential is None:
            exponential = F.exponential_draws(token_noise(scores, noise))
        rank = F.order_to_rank(F.weighted_order(scores, exponential))
        num_tokens = scores.shape[1]
        if self.keep:
            rank = num_tokens - 1 - rank
        wanted = floor(num_tokens * F.exact_fraction(self.throw) +
                       Fraction(1, 2))
        num_masked = masked_counts(scores, num_visible)
        num_thrown = (num_tokens - num_masked - 1).clamp(max=wanted)
        num_left = one_count(num_visible)
        if num_left is not None:
            num_left -= min(wanted, num_left - 1)
        masked = rank < num_masked
        if not self.throw:
            return Choice(masked, num_visible=num_left)
        if self.throw_last:
            thrown = rank >= num_tokens - num_thrown
        else:
            thrown = ~masked & (rank < num_masked + num_thrown)
        return Choice(masked, thrown, num_left)
