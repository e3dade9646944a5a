# Copyright (c) OpenMMLab. All rights reserved.
"""AutoMAE's bump: salient tokens get a head start in random masking."""
from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .parts import Part
from .selection import Choice, hide_top, token_noise
from .types import MaskingContext


class Bump(Part):
    """Random masking, with a bonus for the tokens of highest score.

    Source: Chen et al., *Improving Masked Autoencoders by Learning Where to
    Mask* (AutoMAE), 2023. There a generator, trained against random
    rectangles, gives the scores; here they come from any salience. The
    highest quarter gets 0.5 on its draw from U[0, 1), as in the official
    code.

    Args:
        top (float): Share of all tokens that gets the bonus.
        bump (float): The bonus. 0 is random masking, 1 hides the top first.

    Example:
        >>> import torch
        >>> S = torch.tensor([[0., .1, .2, 1.]])
        >>> Bump(bump=1.)(S, 3).masked.tolist()
        [[False, False, False, True]]
    """
    uniform = True

    def __init__(self, top: float = 0.25, bump: float = 0.5):
        super().__init__()
        if not 0 <= top <= 1 or bump < 0:
            raise UserError(
                'top is a share of the tokens in [0, 1] and bump is not '
                f'negative, got {top} and {bump}; AutoMAE uses 0.25 and 0.5.')
        self.top = top
        self.bump = bump

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext | None = None,
                noise: Tensor | None = None) -> Choice:
        noise = token_noise(scores, noise)
        number = int(F.share_count(scores.shape[1], self.top))
        # Among equal scores the draws decide, as everywhere.
        top = F.top_rank(scores, noise) < number
        return hide_top(noise + self.bump * top, num_visible)
