# Copyright (c) OpenMMLab. All rights reserved.
"""Ratios that vary without regard to salience: by chance or over time."""

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.registry import MODELS

from . import functional as F
from .ratio import Share
from .types import MaskingContext


def check_bounds(rounding: str, **bounds: float) -> None:
    """Stop if a ratio is outside [0, 1) or the rounding unknown."""
    for name, ratio in bounds.items():
        if not 0 <= ratio < 1:
            raise UserError(f'{name} is a masking ratio, a share in [0, 1), '
                            f'got {ratio}; MAE uses 0.75.')
    if rounding not in F.ROUNDINGS:
        raise UserError(
            f'rounding must be one of {F.ROUNDINGS}, got {rounding!r}.')


@MODELS.register_module()
class RandomRatio(nn.Module):
    """A masking ratio drawn evenly from a range.

    Per image it is the control for :class:`AdaptiveRatio`: as much variety,
    no salience. Per batch it is the ratio of iBOT and AttMask, U(0.1, 0.5)
    there, bit-equal to the official code for the same draws; the defaults
    are the range of SBAM's AMR, 0.75 +- 0.15.

    Args:
        low (float): Lowest ratio, in [0, 1). Defaults to 0.6.
        high (float): Highest. Defaults to 0.9.
        scope (str): "sample" draws for every image, "batch" once for all of
            the local batch. Defaults to "sample".
        rounding (str): "floor" or "ceil" of the visible tokens.
            Defaults to "floor".

    Example:
        >>> draws = torch.tensor([0., .5])
        >>> RandomRatio(0.5, 1 - 0.25)(
        ...     torch.zeros(2, 16), draws=draws).num_visible.tolist()
        [8, 6]
    """

    def __init__(self,
                 low: float = 0.6,
                 high: float = 0.9,
                 scope: str = 'sample',
                 rounding: str = 'floor'):
        super().__init__()
        check_bounds(rounding, low=low, high=high)
        if low > high:
            raise UserError(f'the range of ratios is empty: low {low} is '
                            f'above high {high}; swap them.')
        if scope not in ('sample', 'batch'):
            raise UserError(
                f'scope must be "sample" or "batch", got {scope!r}.')
        self.low = low
        self.high = high
        self.scope = scope
        self.rounding = rounding

    @property
    def uniform(self) -> bool:
        return self.scope == 'batch'

    @property
    def ratio(self) -> float:
        """The mean."""
        return (self.low + self.high) / 2

    def extra_repr(self) -> str:
        return (f'low={self.low}, high={self.high}, scope={self.scope!r}, '
                f'rounding={self.rounding!r}')

    def forward(self,
                scores: Tensor,
                context: MaskingContext | None = None,
                draws: Tensor | None = None) -> Share:
        """Draw.

        Args:
            scores (Tensor): (B, L); only its shape matters.
            context (MaskingContext, optional): Not used.
            draws (Tensor, optional): From U[0, 1), (B,) or, for the batch,
                (), that replace torch's generator. Defaults to None.
        """
        batch_size, num_tokens = scores.shape
        shape = (batch_size, ) if self.scope == 'sample' else ()
        if draws is None:
            # The count of a whole batch is needed on the CPU.
            device = scores.device if shape else torch.device('cpu')
            draws = torch.rand(shape, dtype=torch.float64, device=device)
        elif draws.shape != shape:
            raise UserError(
                f'draws have the shape {tuple(draws.shape)} but scope '
                f'{self.scope!r} takes {shape}; give one draw per ratio.')
        ratio = self.low + (self.high - self.low) * draws.double()
        if self.scope == 'batch':
            return Share(
                F.visible_count(num_tokens, float(ratio), self.rounding),
                scores.new_full((batch_size, ), float(ratio)))
        # A ratio meant to be exact must not lose a token to rounding.
        exact = num_tokens * (1 - ratio)
        count = ((exact + 1e-6).floor() if self.rounding == 'floor' else
                 (exact - 1e-6).ceil())
        return Share(count.long().clamp(min=1), ratio.float())


@MODELS.register_module()
class ScheduledRatio(nn.Module):
    """A masking ratio that moves on a straight line over the training.

    Args:
        start (float): Ratio at progress 0, in [0, 1). Defaults to 0.6.
        end (float): At progress 1. Defaults to 0.9.
        rounding (str): "floor" or "ceil" of the visible tokens.
            Defaults to "floor".

    Example:
        >>> half = MaskingContext(torch.zeros(1, 100, 2), (10, 10), 0.5)
        >>> ScheduledRatio(0.6, 0.9)(torch.zeros(1, 100), half).num_visible
        25
    """
    uniform = True

    def __init__(self,
                 start: float = 0.6,
                 end: float = 0.9,
                 rounding: str = 'floor'):
        super().__init__()
        check_bounds(rounding, start=start, end=end)
        self.start = start
        self.end = end
        self.rounding = rounding

    @property
    def ratio(self) -> float:
        """The ratio at the start."""
        return self.start

    def extra_repr(self) -> str:
        return (f'start={self.start}, end={self.end}, '
                f'rounding={self.rounding!r}')

    def forward(self, scores: Tensor, context: MaskingContext) -> Share:
        batch_size, num_tokens = scores.shape
        ratio = self.start + context.progress * (self.end - self.start)
        return Share(
            F.visible_count(num_tokens, ratio, self.rounding),
            scores.new_full((batch_size, ), ratio))
