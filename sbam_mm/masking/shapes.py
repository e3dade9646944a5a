# Copyright (c) OpenMMLab. All rights reserved.
"""Selections by position in the grid: scores play no part.

Rectangles follow any ratio. A regular grid and one token per 2 x 2 block have
a ratio of their own and say so if another one is asked for.
"""
from math import inf

import torch
from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .blocks import block_masks, check_search
from .parts import Part
from .selection import Choice, hide_top, token_noise
from .types import MaskingContext


def check_share(num_visible: int | Tensor, num_tokens: int,
                share: int, what: str) -> None:
    """Stop unless the ratio leaves one of ``share`` tokens visible."""
    if not (isinstance(num_visible, int)
            and num_tokens // share <= num_visible <= -(-num_tokens // share)):
        raise UserError(
            f'{what} shows one of {share} tokens and cannot follow another '
            f'ratio; set ratio=dict(type="sbam_mm.FixedRatio", '
            f'ratio={1 - 1 / share:g}) or choose another selection.')


class BlockSelection(Part):
    """Hide rectangles (BEiT), completed to the exact count at random.

    Scores play no part. The rectangles are searched on the CPU with torch's
    CPU generator. Where the search ends short of the wanted count, random
    single tokens fill up, as BootMAE does; a rectangle never overshoots.

    Source: Bao et al., *BEiT: BERT Pre-Training of Image Transformers*, ICLR
    2022.

    Args:
        min_area (int, optional): Smallest rectangle in tokens; taken smaller
            on grids that small. None is iBOT's: the square of a third of the
            grid's shorter side, 16 of 14 x 14 tokens.
        max_area (int, optional): Largest.
        min_aspect, attempts: See :func:`block_mask`.
        complete (bool): Fill up to the exact count. False leaves images
            below it, as iBOT does.
    """

    def __init__(self,
                 min_area: int | None = 16,
                 max_area: int | None = None,
                 min_aspect: float = 0.3,
                 attempts: int = 10,
                 complete: bool = True):
        super().__init__()
        self.complete = complete
        self.min_area = min_area
        self.max_area = max_area or inf
        check_search(1 if min_area is None else min_area, self.max_area,
                     min_aspect, attempts)
        self.min_aspect = min_aspect
        self.attempts = attempts

    @property
    def uniform(self) -> bool:
        return self.complete

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext,
                noise: Tensor | None = None) -> Choice:
        """Choose; ``noise`` (B, L) decides among tokens outside blocks."""
        blocks = block_masks(
            context,
            num_visible,
            min_area=self.min_area or (min(context.grid) // 3)**2,
            max_area=self.max_area,
            min_aspect=self.min_aspect,
            attempts=self.attempts)
        if not self.complete:
            return Choice(blocks)
        # Block tokens rank above all others, so they are hidden first.
        return hide_top(blocks + 0.5 * token_noise(scores, noise),
                        num_visible)


class UniformSelection(Part):
    """Show exactly one token of every 2 x 2 block (UM-MAE).

    Every corner of the blocks is the visible one in a quarter of an image's
    blocks (to within one), in random order. A block cut off by the border of
    an odd grid shows one of the tokens it has, so ceil(h/2) ceil(w/2) tokens
    are visible.

    Source: Li et al., *Uniform Masking: Enabling MAE Pre-training for
    Pyramid-based Vision Transformers with Locality*, 2022. The paper draws
    one random token per block; the balance over the corners is the official
    code's, which is followed. The second step, *secondary masking*, replaces
    a quarter of the visible tokens by a learned one: that happens inside the
    encoder and is a matter of the model.
    """
    uniform = True

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext,
                noise: Tensor | None = None) -> Choice:
        """Choose; the first draws of ``noise`` (B, L) order the blocks."""
        batch_size, num_tokens = scores.shape
        check_share(num_visible, num_tokens, 4, 'UniformSelection')
        noise = token_noise(scores, noise)
        height, width = context.grid
        rows, columns = -(-height // 2), -(-width // 2)
        count = rows * columns
        # Where the blocks are not a multiple of 4 some corners come up once
        # more; the last draw turns the wheel so that none is preferred.
        turn = (noise[:, -1:] * 4).long()
        order = torch.argsort(noise[:, :count], dim=1, stable=True)
        corner = (F.order_to_rank(order) + turn) % 4
        block = torch.arange(count, device=scores.device)
        # Past the border there is nothing: the nearest token stands in.
        row = (2 * (block // columns) + corner // 2).clamp(max=height - 1)
        column = (2 * (block % columns) + corner % 2).clamp(max=width - 1)
        masked = torch.ones(
            batch_size, num_tokens, dtype=torch.bool, device=scores.device)
        masked.scatter_(1, row * width + column, False)
        return Choice(masked, num_visible=count)


class GridSelection(Part):
    """Show every k-th token along both axes, with a random phase per image.

    Source: the grid-wise sampling of He et al., *Masked Autoencoders Are
    Scalable Vision Learners*, CVPR 2022, Figure 6, at a fixed phase there.
    On grids that k does not divide, floor(h/k) floor(w/k) tokens (at least
    one) are visible whatever the phase, so that all images keep the same
    number.

    Args:
        stride (int): k; 1 - 1/k^2 of the tokens are hidden.

    Example:
        >>> context = MaskingContext(torch.randn(1, 16, 8), grid=(4, 4))
        >>> choice = GridSelection()(torch.zeros(1, 16), 4, context)
        >>> (~choice.masked).view(4, 4).any(0).sum().item()
        2
    """
    uniform = True

    def __init__(self, stride: int = 2):
        super().__init__()
        if stride < 1:
            raise UserError(f'stride counts tokens from one visible token to '
                            f'the next and cannot be {stride}; use 2 to hide '
                            'three quarters.')
        self.stride = stride

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext,
                noise: Tensor | None = None) -> Choice:
        """Choose; the first and last of ``noise`` (B, L) are the phases."""
        check_share(num_visible, scores.shape[1], self.stride**2,
                    'GridSelection')
        noise = token_noise(scores, noise)
        rows, num_rows = self._line(context.grid[0], noise[:, :1])
        columns, num_columns = self._line(context.grid[1], noise[:, -1:])
        visible = rows[:, :, None] & columns[:, None, :]
        return Choice(
            ~visible.flatten(1), num_visible=num_rows * num_columns)

    def _line(self, length: int, draw: Tensor) -> tuple[Tensor, int]:
        """Visible places along one axis, boolean (B, length), and how many."""
        count = max(1, length // self.stride)
        phases = length - self.stride * (count - 1)
        # Rounding may take a draw just below 1 to the excluded upper end.
        phase = (draw * phases).long().clamp(max=phases - 1)
        place = torch.arange(length, device=draw.device) - phase
        inside = (place >= 0) & (place < self.stride * count)
        return inside & (place % self.stride == 0), count
