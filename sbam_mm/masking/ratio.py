# Copyright (c) OpenMMLab. All rights reserved.
"""How many tokens to hide: the second of a masker's three parts.

A ratio is called with the scores (B, L) and the :class:`MaskingContext` and
returns a :class:`Share`. ``uniform`` says beforehand whether all images of a
batch get one count; ``ratio`` is what a warm-up with random masks uses. This
file has the ratios of the papers; those that vary without regard to salience
are in ``varied_ratio.py``.
"""
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from sbam_mm.errors import UserError, check_choice

from . import functional as F
from .parts import Part
from .types import MaskingContext


class Share(NamedTuple):
    """How much of each image to hide.

    Attributes:
        num_visible (int or Tensor): Visible tokens, one number for the whole
            batch (known without asking the device) or int64 (B,).
        ratio (Tensor): The masking ratio asked for, float32 (B,).
        salient (Tensor, optional): Share of tokens with S > delta, (B,).
    """
    num_visible: int | Tensor
    ratio: Tensor
    salient: Tensor | None = None


def check_options(rounding: str,
                  roundings: tuple[str, ...] = F.ROUNDINGS,
                  scope: str = 'sample',
                  **ratios: float) -> None:
    """Stop if a ratio is outside [0, 1), or a word unknown."""
    for name, ratio in ratios.items():
        if not 0 <= ratio < 1:
            raise UserError(f'{name} is a masking ratio, a share in [0, 1), '
                            f'got {ratio}; MAE uses 0.75.')
    check_choice('rounding', rounding, roundings)
    if scope not in ('sample', 'batch'):
        raise UserError(
            f'scope must be "sample" or "batch", got {scope!r}.')


def check_range(ratio: float, delta_r: float) -> None:
    """Stop if r +- delta_r are no masking ratios."""
    if delta_r < 0 or ratio - delta_r < 0 or ratio + delta_r >= 1:
        raise UserError(
            f'ratio {ratio} +- delta_r {delta_r} leaves [0, 1); choose '
            'delta_r smaller than both ratio and 1 - ratio.')


class FixedRatio(Part):
    """The same masking ratio for every image.

    Args:
        rounding (str): "floor" (MAE's code) or "ceil" (the SBAM paper) of
            the number of visible tokens.

    Example:
        >>> FixedRatio(0.75)(torch.zeros(2, 196)).num_visible
        49
    """
    uniform = True

    def __init__(self, ratio: float = 0.75, rounding: str = 'floor'):
        super().__init__()
        check_options(rounding, ratio=ratio)
        self.ratio = ratio
        self.rounding = rounding

    def forward(self,
                scores: Tensor,
                context: MaskingContext | None = None) -> Share:
        batch_size, num_tokens = scores.shape
        return Share(
            F.visible_count(num_tokens, self.ratio, self.rounding),
            scores.new_full((batch_size, ), self.ratio, dtype=torch.float32))


class AdaptiveRatio(Part):
    r"""Adaptive Masking Ratio (AMR), Eq. 7: more salient tokens, more hidden.

    .. math:: R = r - \Delta r + 2 \Delta r\,\mathrm{mean}(1_{S > \delta})

    The number of visible tokens L (1 - R) is worked out in exact fractions
    from the *number* of salient tokens and rounded once.

    Args:
        ratio (float): Base ratio r.
        delta_r (float): Half the range of the ratio, :math:`\Delta r`.
        delta (float): Threshold on the salience.
        scope (str): "sample" gives image i its own ratio, as the paper says;
            "batch" averages the share of salient tokens over the local batch
            and gives all images that one ratio, as the released code does (it
            asks the device for one number).
        rounding (str): "ceil" as in section 3; "floor"; or "float32": the
            released code's floor in float32 arithmetic, which loses a token
            at some exact integers.
        min_visible (int): No image keeps fewer tokens.
        max_visible (int, optional): No image keeps more.

    Example:
        >>> S = torch.tensor([[0., .2, .3, 1.], [0., 0., 0., 1.]])
        >>> share = AdaptiveRatio(0.5, delta_r=0.25)(S)
        >>> share.salient.tolist(), share.ratio.tolist()
        ([0.75, 0.25], [0.625, 0.375])
        >>> share.num_visible.tolist()
        [2, 3]
    """

    def __init__(self,
                 ratio: float = 0.75,
                 delta_r: float = 0.15,
                 delta: float = 0.1,
                 scope: str = 'sample',
                 rounding: str = 'ceil',
                 min_visible: int = 1,
                 max_visible: int | None = None):
        super().__init__()
        check_range(ratio, delta_r)
        check_options(rounding, (*F.ROUNDINGS, 'float32'), scope)
        if min_visible < 1 or (max_visible or min_visible) < min_visible:
            raise UserError(
                'visible tokens want 1 <= min_visible <= max_visible, got '
                f'{min_visible} and {max_visible}.')
        self.ratio = ratio
        self.delta_r = delta_r
        self.delta = delta
        self.scope = scope
        self.rounding = rounding
        self.min_visible = min_visible
        self.max_visible = max_visible
        self._tables: dict = {}

    @property
    def uniform(self) -> bool:
        return self.scope == 'batch'

    def forward(self,
                scores: Tensor,
                context: MaskingContext | None = None) -> Share:
        batch_size, num_tokens = scores.shape
        num_salient = (scores > self.delta).sum(dim=1)
        salient = num_salient / num_tokens
        num_visible: int | Tensor
        if self.scope == 'batch':
            share = salient.mean().expand(batch_size)
            num_visible = self.visible_count(
                int(num_salient.sum()), num_tokens, batch_size)
        else:
            share = salient
            table = self._table(num_tokens, scores.device)
            num_visible = table[num_salient]
        ratio = self.ratio - self.delta_r + 2 * self.delta_r * share
        return Share(num_visible, ratio, salient)

    def _table(self, num_tokens: int, device: torch.device) -> Tensor:
        """Visible tokens for 0 ... L salient ones, kept on the device."""
        key = (num_tokens, device)
        if key not in self._tables:
            self._tables[key] = torch.tensor(
                [self.visible_count(n, num_tokens)
                 for n in range(num_tokens + 1)], device=device)
        return self._tables[key]

    def visible_count(self,
                      num_salient: int,
                      num_tokens: int,
                      batch_size: int = 1) -> int:
        """Visible tokens per image, L (1 - R) rounded and kept in bounds.

        Args:
            num_salient (int): Summed over the images of the batch.
        """
        if self.rounding == 'float32':
            count = torch.tensor(float(num_salient)) / batch_size
            ratio = (self.ratio - self.delta_r +
                     2 * self.delta_r * (count / num_tokens))
            visible = int(num_tokens * (1 - ratio))
        else:
            share = Fraction(num_salient, num_tokens * batch_size)
            delta_r = F.exact_fraction(self.delta_r)
            exact = (F.exact_fraction(self.ratio) - delta_r +
                     2 * delta_r * share)
            visible = F.visible_count(num_tokens, exact, self.rounding)
        highest = min(num_tokens, self.max_visible or num_tokens)
        return min(max(visible, self.min_visible), highest)
