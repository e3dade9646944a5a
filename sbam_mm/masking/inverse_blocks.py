# Copyright (c) OpenMMLab. All rights reserved.
"""Inverse block masks: blocks stay visible and everything else is hidden."""
import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError

from .maskers import Masker
from .parts import Part
from .ratio import FixedRatio
from .salience import NoSalience
from .selection import Choice, hide_top, token_noise
from .types import MaskingContext


def visible_counts(scores: Tensor, num_visible: int | Tensor) -> Tensor:
    """Tokens to show of every image, float32 (B, 1)."""
    if isinstance(num_visible, Tensor):
        return num_visible[:, None].float()
    return scores.new_full((len(scores), 1), float(num_visible))


def squares(draws: Tensor, number: Tensor, size: int,
            grid: tuple[int, int]) -> Tensor:
    """Squares around drawn tokens, cut off at the border.

    Args:
        draws (Tensor): U[0, 1), (B, N), which tokens are centres.
        number (Tensor): How many of the draws count, (B, 1).
        size (int): Tokens per side.

    Returns:
        Tensor: Boolean (B, L), True = in a square.

    Example:
        >>> squares(torch.tensor([[.5, .9]]), torch.tensor([[1]]), 3,
        ...         (3, 4)).int().view(3, 4)
        tensor([[0, 1, 1, 1],
                [0, 1, 1, 1],
                [0, 1, 1, 1]], dtype=torch.int32)
    """
    length = grid[0] * grid[1]
    centre = (draws * length).long().clamp(max=length - 1)
    counted = torch.arange(draws.shape[1], device=draws.device) < number
    at = draws.new_zeros(len(draws), length).scatter_add_(
        1, centre, counted.to(draws.dtype))
    before, after = size // 2, (size - 1) // 2
    # A token is shown if a centre is up to so far after or before it.
    around = nn.functional.pad(at.view(-1, 1, *grid),
                               (after, before, after, before))
    return nn.functional.max_pool2d(around, size, stride=1).flatten(1) > 0


def rectangle(draws: Tensor, visible: Tensor, min_aspect: float, roll: bool,
              grid: tuple[int, int]) -> Tensor:
    """An order of the tokens in which those of a rectangle come first.

    Its height over its width is log-uniform between ``min_aspect`` and the
    inverse, as far as the grid allows. It has at least as many tokens as are
    wanted; the surplus is in the lowest rows.

    Args:
        draws (Tensor): U[0, 1), (B, 5): aspect, place, and shift.
        visible (Tensor): Tokens wanted, (B, 1).
        roll (bool): Shift it around the grid, past the borders.

    Returns:
        Tensor: float32 (B, L), in [0, 1) inside the rectangle, 1 outside.
    """
    height, width = grid
    least, most = visible / width**2, height**2 / visible
    low = torch.minimum(least.clamp(min=min_aspect), most).log()
    high = torch.maximum(most.clamp(max=1 / min_aspect), least).log()
    aspect = (low + (high - low) * draws[:, :1]).exp()
    h = (visible * aspect).sqrt().ceil().clamp(max=height)
    w = (visible / aspect).sqrt().ceil().clamp(max=width)

    def line(length: int, extent: Tensor, place: Tensor,
             shift: Tensor) -> Tensor:
        """Where each of the tokens is from the start, (B, length)."""
        start = (place * (length - extent + 1)).floor()
        if roll:
            start = start + (shift * length).floor()
        offset = torch.arange(length, device=draws.device) - start
        return offset.remainder(length) if roll else offset

    row = line(height, h, draws[:, 1:2], draws[:, 3:4])[:, :, None]
    column = line(width, w, draws[:, 2:3], draws[:, 4:5])[:, None, :]
    inside = ((row >= 0) & (row < h[..., None])
              & (column >= 0) & (column < w[..., None]))
    order = (row * width + column) / (height * width)
    return order.where(inside, 1.).flatten(1)


class InverseBlockSelection(Part):
    """Show blocks and hide the rest, at exact counts.

    * With a ``size`` (data2vec 2.0): squares around random tokens, enough to
      cover the visible share plus ``adjust`` if they did not overlap. Where
      they cover more tokens than shall be visible, random ones are hidden,
      where fewer, random ones are shown.
    * With ``size=None`` (CAPI): one rectangle of the visible tokens, the last
      of its rows cut to the exact count, shifted around the grid with
      ``roll``, so that the middle is not visible more often than the border.

    Scores play no part.

    Source: Baevski et al., *Efficient Self-supervised Learning with
    Contextualized Target Representations for Vision, Speech and Language*
    (data2vec 2.0), ICML 2023: a ratio of 0.8, squares of 3, adjust 0.07.
    Darcet et al., *Cluster and Predict Latent Patches for Improved Masked
    Image Modeling* (CAPI), TMLR 2025: a ratio of 0.65, aspects from 0.5 to 2
    and roll. Written from their official settings; counts are as there.

    Args:
        size (int, optional): Tokens per side of a square.
        adjust (float): Share of the tokens, on top of the visible ones, that
            the squares would cover without overlap.
        min_aspect (float): Flattest shape of CAPI's rectangle.
        roll (bool): Of CAPI's rectangle.

    Example:
        >>> context = MaskingContext(torch.randn(2, 196, 8), grid=(14, 14))
        >>> choice = InverseBlockSelection()(torch.zeros(2, 196), 39, context)
        >>> choice.masked.sum(dim=1).tolist()
        [157, 157]
    """
    uniform = True

    def __init__(self,
                 size: int | None = 3,
                 adjust: float = 0.07,
                 min_aspect: float = 0.5,
                 roll: bool = True):
        super().__init__()
        if size is not None and size < 1:
            raise UserError(f'size={size} counts the tokens per side of a '
                            'visible square; data2vec 2.0 uses 3.')
        if not 0 <= adjust < 1 or not 0 < min_aspect <= 1:
            raise UserError(
                'adjust is a share of the tokens in [0, 1) and min_aspect '
                f'one of 1 in (0, 1], got {adjust} and {min_aspect}; data2vec '
                '2.0 uses 0.07, CAPI 0.5.')
        self.size = size
        self.adjust = adjust
        self.min_aspect = min_aspect
        self.roll = roll

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext,
                noise: Tensor | None = None,
                draws: Tensor | None = None) -> Choice:
        """Choose.

        Args:
            noise (Tensor, optional): Decides what makes the count exact.
            draws (Tensor, optional): Draws from U[0, 1), (B, N), that place
                the blocks: as many as there are squares at most, or 5.
        """
        noise = token_noise(scores, noise)
        visible = visible_counts(scores, num_visible)
        tokens, area = scores.shape[1], (self.size or 1)**2
        if draws is None:
            most = int(tokens * (1 + self.adjust) / area)
            draws = scores.new_empty(
                len(scores), most if self.size else 5).uniform_()
        # Tokens of blocks come first, then any.
        if self.size:
            number = ((visible + tokens * self.adjust) / area + 1e-6).floor()
            key = noise + ~squares(draws, number, self.size, context.grid)
        else:
            order = rectangle(draws, visible, self.min_aspect, self.roll,
                              context.grid)
            key = torch.where(order < 1, order, 1 + noise)
        return hide_top(key, num_visible)


class InverseBlockMasker(Masker):
    """Blocks are visible, everything else is hidden.

    The defaults are data2vec 2.0's; ``size=None, ratio=0.65`` is CAPI's.

    Args:
        **blocks: Options of :class:`InverseBlockSelection`.
    """
    takes_options_of = InverseBlockSelection

    def __init__(self,
                 ratio: float = 0.8,
                 rounding: str = 'floor',
                 **blocks):
        super().__init__(NoSalience(), FixedRatio(ratio, rounding),
                         InverseBlockSelection(**blocks))
