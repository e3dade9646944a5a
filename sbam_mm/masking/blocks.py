# Copyright (c) OpenMMLab. All rights reserved.
"""Block-wise masks of BEiT: rectangles until enough cells are covered.

Source: Bao et al., *BEiT: BERT Pre-Training of Image Transformers*, ICLR
2022, Algorithm 1; iBOT and BootMAE use it with other bounds.
"""
from math import exp, inf, log
from typing import Protocol

import torch
from torch import Tensor

from sbam_mm.errors import UserError

from .types import MaskingContext


class Draws(Protocol):
    """A source of random numbers, so that recorded ones can be replayed."""

    def uniform(self, low: float, high: float) -> float:
        """A real number between the two bounds, in whichever order."""

    def integer(self, low: int, high: int) -> int:
        """An integer, both bounds included."""


class TorchDraws:
    """Random numbers from torch's CPU generator, which `seed` controls."""

    def uniform(self, low: float, high: float) -> float:
        draw = torch.rand((), dtype=torch.float64).item()
        return low + (high - low) * draw

    def integer(self, low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, ()))


def check_search(min_area: float, max_area: float, min_aspect: float,
                 attempts: int = 1) -> None:
    """Stop if no rectangle can be drawn."""
    if not 1 <= min_area <= max_area:
        raise UserError('rectangles want 1 <= min_area <= max_area, got '
                        f'{min_area} and {max_area}.')
    if not 0 < min_aspect <= 1:
        raise UserError(f'min_aspect is the flattest shape of a rectangle, '
                        f'in (0, 1], got {min_aspect}; BEiT uses 0.3.')
    if attempts < 1:
        raise UserError(f'attempts={attempts} draws no rectangle; BEiT '
                        'tries 10.')


def block_mask(grid: tuple[int, int],
               target: float,
               draws: Draws,
               min_area: float = 16,
               max_area: float = inf,
               min_aspect: float = 0.3,
               attempts: float = 10) -> Tensor:
    """Cover about ``target`` cells with random rectangles.

    A rectangle is kept when it covers at least one new cell and not more
    than are still wanted. The search ends when the target is reached or
    ``attempts`` rectangles in a row did not fit, so the count may stay below
    the target.

    Args:
        grid (tuple[int, int]): Cells per column and per row (h, w).
        min_area, max_area (float): Bounds of a rectangle's area, in cells; 16
            is BEiT's smallest.
        min_aspect (float): Aspect ratios are log-uniform between this and
            its inverse.
        attempts (float): Failures in a row that end the search; ``inf``
            searches until the target is met.

    Returns:
        Tensor: Boolean (h, w), True = masked.
    """
    height, width = grid
    mask = torch.zeros(grid, dtype=torch.bool)
    covered, failures = 0, 0
    while covered < target and failures < attempts:
        failures += 1
        remaining = target - covered
        # The bounds may be inverted near the end (min_area > remaining);
        # the official generators draw between them all the same.
        area = draws.uniform(min_area, min(remaining, max_area))
        aspect = exp(draws.uniform(log(min_aspect), log(1 / min_aspect)))
        h = round((area * aspect)**0.5)
        w = round((area / aspect)**0.5)
        if h >= height or w >= width:
            continue
        top = draws.integer(0, height - h)
        left = draws.integer(0, width - w)
        block = mask[top:top + h, left:left + w]
        new = block.numel() - int(block.sum())
        if 0 < new <= remaining:
            block.fill_(True)
            covered, failures = covered + new, 0
    return mask


def block_masks(context: MaskingContext, num_visible: int | Tensor,
                share: float = 1., **search) -> Tensor:
    """Rectangles for every image of a batch, searched on the CPU.

    Args:
        num_visible (int or Tensor): Tokens to leave visible, one for all
            images or (B,).
        share (float): Of the other tokens, how many to cover.
        **search: Options of :func:`block_mask`.

    Returns:
        Tensor: Boolean (B, L), True = masked, on the device of the tokens.
    """
    # A count for all is known here; asking the device for it would wait.
    counts = torch.as_tensor(num_visible).expand(context.batch_size).tolist()
    return torch.stack([
        block_mask(context.grid, round(share * (context.num_tokens - count)),
                   TorchDraws(), **search) for count in counts
    ]).flatten(1).to(context.tokens.device, non_blocking=True)
