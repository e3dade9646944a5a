# Copyright (c) OpenMMLab. All rights reserved.
"""I-JEPA's masks: a large block to look at, small ones to predict.

Source: Assran et al., *Self-Supervised Learning from Images with a
Joint-Embedding Predictive Architecture*, CVPR 2023, section 3.
"""
from math import sqrt

import torch
from torch import Tensor

from sbam_mm.errors import UserError

from . import functional as F
from .maskers import Masker
from .parts import Part
from .ratio import FixedRatio
from .salience import NoSalience
from .selection import Choice
from .types import MaskingContext

# How often blocks are placed again where no context is left.
ATTEMPTS = 20


def check_blocks(targets: int, **ranges: tuple[float, float]) -> None:
    """Stop if no blocks can be drawn."""
    if targets < 1:
        raise UserError(f'targets={targets} leaves nothing to predict; I-JEPA '
                        'uses 4.')
    for name, (low, high) in ranges.items():
        if not 0 < low <= high or (high > 1 and 'scale' in name):
            raise UserError(
                f'{name} holds two bounds, the smaller one first, above 0'
                f'{" and at most 1" if "scale" in name else ""}, got '
                f'{(low, high)}.')


def sample_blocks(batch: int,
                  grid: tuple[int, int],
                  targets: int = 4,
                  target_scale: tuple[float, float] = (.15, .2),
                  target_aspect: tuple[float, float] = (.75, 1.5),
                  context_scale: tuple[float, float] = (.85, 1.),
                  generator: torch.Generator | None = None
                  ) -> tuple[Tensor, Tensor]:
    """Target blocks, which may overlap, and a context block without them.

    The size of the targets and that of the context block are drawn once for
    the batch, and the blocks are placed in every image anew. Where targets
    cover a whole context block (on the smallest grids), all are placed again,
    and after 20 attempts one token of the block stands for the context
    although it is also a target.

    Args:
        grid (tuple[int, int]): Tokens per column and per row, h * w = L.
        targets (int): T.
        target_scale, context_scale (tuple[float, float]): Bounds of a
            block's share of the tokens.
        target_aspect (tuple[float, float]): Bounds of a target's height over
            its width; the context block has the grid's own aspect.
        generator (torch.Generator, optional): Of the CPU.

    Returns:
        tuple[Tensor, Tensor]: ``context``, boolean (B, L), at least one token
        of each image, and ``targets``, boolean (B, T, L), all of one size. On
        the CPU.

    Example:
        >>> context, targets = sample_blocks(2, (14, 14))
        >>> tuple(context.shape), tuple(targets.shape)
        ((2, 196), (2, 4, 196))
        >>> (context & targets.any(dim=1)).any().item()
        False
    """
    check_blocks(targets, target_scale=target_scale,
                 target_aspect=target_aspect, context_scale=context_scale)

    def between(low: float, high: float) -> float:
        return F.between(low, high, torch.rand((), generator=generator).item())

    small = block_size(grid, between(*target_scale), between(*target_aspect))
    large = block_size(grid, between(*context_scale), grid[0] / grid[1])
    hidden, block, context = (
        torch.zeros(batch, n, grid[0] * grid[1], dtype=torch.bool)
        for n in (targets, 1, 1))
    left = torch.ones(batch, dtype=torch.bool)
    for _ in range(ATTEMPTS):
        count = int(left.sum())
        hidden[left] = place(count, targets, grid, small, generator)
        block[left] = place(count, 1, grid, large, generator)
        context = block & ~hidden.any(dim=1, keepdim=True)
        left = ~context.any(dim=(1, 2))
        if not left.any():
            break
    draws = torch.rand(batch, 1, grid[0] * grid[1], generator=generator)
    one = (draws + block.float()).argmax(dim=2, keepdim=True)
    alone = torch.zeros_like(block).scatter_(2, one, True)
    context = torch.where(left[:, None, None], alone, context)
    return context[:, 0], hidden


def block_size(grid: tuple[int, int], scale: float,
               aspect: float) -> tuple[int, int]:
    """Height and width, in tokens, of a share of the grid.

    Example:
        >>> block_size((14, 14), 0.2, 1.5)
        (8, 5)
    """
    height, width = grid
    area = scale * height * width
    return (min(max(1, round(sqrt(area * aspect))), height),
            min(max(1, round(sqrt(area / aspect))), width))


def place(batch: int, number: int, grid: tuple[int, int],
          size: tuple[int, int],
          generator: torch.Generator | None = None) -> Tensor:
    """Blocks of one size at random places, boolean (B, number, L)."""
    rows, columns = (
        within(length, extent,
               torch.randint(length - extent + 1, (batch, number, 1),
                             generator=generator))
        for length, extent in zip(grid, size))
    return (rows[..., :, None] & columns[..., None, :]).flatten(2)


def within(length: int, extent: int, start: Tensor) -> Tensor:
    """Which places of a line, (..., length), are ``extent`` from a start."""
    offset = torch.arange(length) - start
    return (offset >= 0) & (offset < extent)


def expected_union(targets: int, scale: float, aspect: float,
                   grid: tuple[int, int] = (14, 14)) -> float:
    """Share of the tokens that blocks at random places cover together."""
    rows, columns = (
        within(length, extent, torch.arange(length - extent + 1)[:, None])
        .double().mean(dim=0)
        for length, extent in zip(grid, block_size(grid, scale, aspect)))
    return (1 - (1 - torch.outer(rows, columns))**targets).mean().item()


class MultiBlockSelection(Part):
    """Mask the union of I-JEPA's targets, show its context, throw the rest.

    Scores and ratio play no part, and the counts of images differ: targets
    overlap. Blocks are drawn with torch's CPU generator.

    Args:
        targets, target_scale, target_aspect, context_scale: See
            :func:`sample_blocks`.

    Example:
        >>> context = MaskingContext(torch.randn(2, 196, 8), grid=(14, 14))
        >>> choice = MultiBlockSelection()(torch.zeros(2, 196), 98, context)
        >>> (choice.masked & choice.thrown).any().item()
        False
    """
    uniform = False

    def __init__(self,
                 targets: int = 4,
                 target_scale: tuple[float, float] = (.15, .2),
                 target_aspect: tuple[float, float] = (.75, 1.5),
                 context_scale: tuple[float, float] = (.85, 1.)):
        super().__init__()
        check_blocks(targets, target_scale=target_scale,
                     target_aspect=target_aspect, context_scale=context_scale)
        self.targets = targets
        self.target_scale = target_scale
        self.target_aspect = target_aspect
        self.context_scale = context_scale

    def forward(self,
                scores: Tensor,
                num_visible: int | Tensor,
                context: MaskingContext,
                noise: Tensor | None = None) -> Choice:
        shown, blocks = sample_blocks(
            context.batch_size, context.grid, self.targets, self.target_scale,
            self.target_aspect, self.context_scale)
        masked = blocks.any(dim=1) & ~shown
        thrown = ~(masked | shown)
        targets = blocks & ~shown[:, None]
        return Choice(masked.to(scores.device, non_blocking=True),
                      thrown.to(scores.device, non_blocking=True),
                      targets=targets.to(scores.device, non_blocking=True))


class IJEPAMasker(Masker):
    """I-JEPA's multi-block masks for any method.

    Tokens of target blocks are masked, those of the context block visible,
    and the others thrown: of 14 x 14 tokens about 48, 45 and 7 %.

    Source: Assran et al., CVPR 2023. Paper and official code differ where a
    block is large: the code has none as high or wide as the grid and never
    places one at its lower or right end, so that on 14 x 14 tokens all
    context blocks are the upper left 13 x 13, and it draws scale and aspect
    as one. It also cuts the contexts of a batch to the shortest one.

    Args:
        ratio (float, optional): None: blocks have a ratio of their own.
        **blocks: Options of :class:`MultiBlockSelection`.
    """
    takes_options_of = MultiBlockSelection

    def __init__(self, ratio: float | None = None, **blocks):
        selection = MultiBlockSelection(**blocks)
        hidden = round(expected_union(
            selection.targets, sum(selection.target_scale) / 2,
            sum(selection.target_aspect) / 2), 2)
        if ratio is not None and abs(ratio - hidden) > 0.005:
            raise UserError(
                f'IJEPAMasker hides the union of {selection.targets} blocks, '
                f'about {hidden:g} of the tokens, and cannot hide {ratio}; '
                'leave the ratio out or change targets or target_scale.')
        super().__init__(NoSalience(), FixedRatio(hidden), selection)
