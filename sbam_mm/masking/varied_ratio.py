# Copyright (c) OpenMMLab. All rights reserved.
"""Ratios that vary without regard to salience: by chance or over time."""
import torch
from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .parts import Part
from .ratio import Share, check_options
from .types import MaskingContext


class RandomRatio(Part):
    """A masking ratio drawn evenly from a range.

    Per image it is the control for :class:`AdaptiveRatio`: as much variety,
    no salience. Per batch it is the ratio of iBOT and AttMask, U(0.1, 0.5)
    there, bit-equal to the official code for the same draws; the defaults
    are the range of SBAM's AMR, 0.75 +- 0.15.

    Args:
        low, high (float): Bounds of the ratio, in [0, 1).
        scope (str): "sample" draws for every image, "batch" once for all of
            the local batch.
        rounding (str): "floor" or "ceil" of the visible tokens.

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
        check_options(rounding, scope=scope, low=low, high=high)
        if low > high:
            raise UserError(f'the range of ratios is empty: low {low} is '
                            f'above high {high}; swap them.')
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

    def forward(self,
                scores: Tensor,
                context: MaskingContext | None = None,
                draws: Tensor | None = None) -> Share:
        """Draw, or take ``draws`` from U[0, 1), (B,), or () for the batch."""
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


class ScheduledRatio(Part):
    """A masking ratio that moves over the training.

    Args:
        start, end (float): Ratio in [0, 1) at progress 0 and 1.
        rounding (str): "floor" or "ceil" of the visible tokens.
        power (float): Of the progress: 1 is a straight line, 2 starts late.

    Example:
        >>> half = MaskingContext(torch.zeros(1, 100, 2), (10, 10), 0.5)
        >>> ScheduledRatio(0.6, 0.9)(torch.zeros(1, 100), half).num_visible
        25
    """
    uniform = True

    def __init__(self,
                 start: float = 0.6,
                 end: float = 0.9,
                 rounding: str = 'floor',
                 power: float = 1.):
        super().__init__()
        check_options(rounding, start=start, end=end)
        F.check_power(power)
        self.start = start
        self.end = end
        self.rounding = rounding
        self.power = power

    @property
    def ratio(self) -> float:
        return self.start

    def forward(self, scores: Tensor, context: MaskingContext) -> Share:
        batch_size, num_tokens = scores.shape
        ratio = F.between(self.start, self.end, context.progress, self.power)
        return Share(
            F.visible_count(num_tokens, ratio, self.rounding),
            scores.new_full((batch_size, ), ratio))
