# Copyright (c) OpenMMLab. All rights reserved.
"""AttMask: hide what a class token attends to, perhaps show hints."""
import torch
from torch import Tensor

from sbam_mm.errors import UserError, check_choice

from . import functional as F
from .attention import AttentionSalience
from .maskers import Masker
from .parts import Part
from .ratio import FixedRatio
from .selection import (
    Choice,
    check_probability,
    images_to_mask,
    one_count,
    token_noise,
)
from .types import MaskingContext
from .varied_ratio import RandomRatio

MODES = ('high', 'low', 'hint')


class HintTopK(Part):
    """Hide the highest or the lowest scores, perhaps show hints (AttMask).

    * "high" hides the tokens with the highest scores,
    * "low" those with the lowest,
    * "hint" is "high" with a few of the very highest shown again, drawn
      evenly from the top ``show_max`` of all tokens. One that was not hidden
      anyway is no loss, so fewer may be revealed than drawn.

    Source: Kakogeorgiou et al., *What to Hide from Your Students:
    Attention-Guided Masked Image Modeling*, ECCV 2022. Bit-equal to the
    official code for the same draws, with ``rounding='ceil'`` in the ratio
    (the official code rounds the masked tokens down). That code draws the
    share of hints anew for every batch, independently of the masking ratio,
    which is the default here. It fails where no whole token is to be
    revealed; here none is.

    Args:
        probability (float): Of an image to be masked at all. AttMask trains
            with 0.5 in a framework that also learns from whole images.
        show (float or tuple[float, float]): Share of the top tokens that is
            revealed, or the bounds of one uniform draw per batch.
        show_max (float): Share of all tokens the hints are drawn from.

    Example:
        >>> S = torch.tensor([[0., .1, .2, 1.]])
        >>> HintTopK('high')(S, 2).masked.tolist()
        [[False, False, True, True]]
        >>> HintTopK('hint', show=1., show_max=.25)(S, 2).masked.tolist()
        [[False, False, True, False]]
    """

    def __init__(self,
                 mode: str = 'high',
                 probability: float = 1.,
                 show: float | tuple[float, float] = (0.1, 0.5),
                 show_max: float = 0.1):
        super().__init__()
        check_choice('mode', mode, MODES)
        check_probability(probability)
        bounds = (show, show) if isinstance(show, (int, float)) else show
        if not 0 <= bounds[0] <= bounds[1] <= 1 or not 0 <= show_max <= 1:
            raise UserError(
                'hints want shares 0 <= show <= 1 (one, or low and high) and '
                f'0 <= show_max <= 1, got {show} and {show_max}.')
        self.mode = mode
        self.probability = probability
        self.show = tuple(bounds)
        self.show_max = show_max

    @property
    def uniform(self) -> bool:
        """False where images may be left whole or hints be shown.

        Hints add to the visible tokens, and how many of them were hidden
        before depends on the image's ratio.
        """
        return self.probability == 1 and self.mode != 'hint'

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext | None = None,
                noise: Tensor | None = None,
                exponential: Tensor | None = None,
                image_draws: Tensor | None = None) -> Choice:
        """Choose; ``num_visible`` is of masked images, before hints.

        Args:
            noise (Tensor, optional): Decides among equal scores and draws
                the hints.
            exponential (Tensor, optional): Draws from Exp(1), (B, L), that
                draw the hints instead.
            image_draws (Tensor, optional): Draws from U[0, 1), (B,); images
                above ``probability`` are left whole.
        """
        noise = token_noise(scores, noise)
        rank = F.top_rank(scores, noise)
        key = rank if self.mode == 'low' else -rank
        masked = F.hide_top(key, num_visible)
        if self.mode == 'hint':
            if exponential is None:
                exponential = F.exponential_draws(noise)
            masked = masked & ~self._hints(rank, exponential)
        if self.probability < 1:
            chosen = images_to_mask(self.probability, len(scores),
                                    scores.device, image_draws)
            masked = masked & chosen[:, None]
        count = one_count(num_visible) if self.uniform else None
        return Choice(masked, num_visible=count)

    def _hints(self, rank: Tensor, exponential: Tensor) -> Tensor:
        num_tokens = rank.shape[1]
        top = rank < int(F.share_count(num_tokens, self.show_max))
        low, high = self.show
        # On the CPU: the number of hints is one for the batch.
        show = low if low == high else low + (high - low) * float(
            torch.rand(()))
        number = int(F.share_count(num_tokens, self.show_max * show))
        order = F.weighted_order(top.float(), exponential)
        return top & (F.order_to_rank(order) < number)


class AttMask(Masker):
    """Attention-guided masking by the class token of a teacher.

    Source: Kakogeorgiou et al., *What to Hide from Your Students:
    Attention-Guided Masked Image Modeling*, ECCV 2022. The defaults are those
    of the paper, in iBOT: every view is masked with probability 0.5, at a
    ratio drawn once per batch from U(0.1, 0.5). A method that learns from
    masked images alone wants ``ratio=0.75, probability=1``.

    Args:
        ratio (float or tuple[float, float]): Masking ratio, or the bounds it
            is drawn from.
        scope (str): Draw the ratio once per "batch", as the official code,
            or per "sample".
        source, block: See :class:`AttentionSalience`.
        mode, probability, show, show_max: See :class:`HintTopK`.
        cell (int): See :class:`Masker`; 2 in SimMIM.
        rounding (str): Of the visible tokens; the official code rounds the
            masked ones down.

    Example::

        masker = dict(
            type='sbam_mm.AttMask', mode='hint', ratio=0.75, probability=1.,
            source='self')
    """

    def __init__(self,
                 mode: str = 'high',
                 ratio: float | tuple[float, float] = (0.1, 0.5),
                 scope: str = 'batch',
                 probability: float = 0.5,
                 source: str = 'teacher',
                 block: int = -1,
                 show: float | tuple[float, float] = (0.1, 0.5),
                 show_max: float = 0.1,
                 cell: int = 1,
                 rounding: str = 'ceil'):
        share: Part
        if isinstance(ratio, (int, float)):
            share = FixedRatio(ratio, rounding)
        else:
            share = RandomRatio(*ratio, scope=scope, rounding=rounding)
        super().__init__(
            AttentionSalience(block, source=source),
            share,
            HintTopK(mode, probability, show, show_max),
            cell=cell)
