# Copyright (c) OpenMMLab. All rights reserved.
"""Which tokens to hide: the last of a masker's three parts.

A selection is called with the scores (B, L), the number of visible tokens
(int or (B,)), the grid and, optionally, the random draws; it returns the
boolean mask (B, L) with exactly that many tokens left visible.
"""
from typing import Optional, Tuple, Union

import torch
from torch import Tensor, nn

from sbam_mm.registry import MODELS

from . import functional as F
from .blocks import TorchDraws, block_mask


@MODELS.register_module()
class NoisyTopK(nn.Module):
    """Hide the tokens with the highest noisy score, S~ = S + N (section 3).

    Args:
        noise (float): N is uniform on [0, noise), fresh for every token and
            step. 0 makes the choice deterministic; large values approach
            random masking. Defaults to 0.5, as in the paper.

    Example:
        >>> S = torch.tensor([[0., 1., .2, .1]])
        >>> NoisyTopK(noise=0)(S, 1, grid=(2, 2)).tolist()
        [[False, True, True, True]]
    """

    def __init__(self, noise: float = 0.5):
        super().__init__()
        if noise < 0:
            raise ValueError(f'noise is the upper end of U(0, noise) and '
                             f'cannot be {noise}.')
        self.noise = noise

    def extra_repr(self) -> str:
        return f'noise={self.noise}'

    def forward(self,
                scores: Tensor,
                num_visible: Union[int, Tensor],
                grid: Tuple[int, int],
                noise: Optional[Tensor] = None) -> Tensor:
        """Choose.

        Args:
            scores (Tensor): S, (B, L).
            num_visible (int or Tensor): Tokens to leave visible.
            grid (tuple[int, int]): Not used: position does not matter here.
            noise (Tensor, optional): Draws from U[0, 1) of shape (B, L) that
                replace torch's generator. Defaults to None.
        """
        if noise is None:
            noise = torch.rand_like(scores)
        elif noise.shape != scores.shape:
            raise ValueError(
                f'noise has the shape {tuple(noise.shape)} but the scores '
                f'have {tuple(scores.shape)}; give one draw per token.')
        return F.hide_top(scores + self.noise * noise, num_visible)


@MODELS.register_module()
class BlockSelection(nn.Module):
    """Hide rectangles (BEiT), completed to the exact count at random.

    Scores play no part. The rectangles are searched on the CPU with torch's
    CPU generator. Where the search ends short of the wanted count, random
    single tokens fill up, as BootMAE does; a rectangle never overshoots.

    Args:
        min_area (int): Smallest rectangle in tokens. Defaults to 16; taken
            smaller on grids that small.
        max_area (int, optional): Largest. Defaults to None.
        min_aspect (float): Defaults to 0.3.
        attempts (int): Failed rectangles that end the search. Defaults to 10.
    """

    def __init__(self,
                 min_area: int = 16,
                 max_area: Optional[int] = None,
                 min_aspect: float = 0.3,
                 attempts: int = 10):
        super().__init__()
        if min_area < 1 or (max_area or min_area) < min_area:
            raise ValueError('rectangles want 1 <= min_area <= max_area, got '
                             f'{min_area} and {max_area}.')
        self.min_area = min_area
        self.max_area = max_area or float('inf')
        self.min_aspect = min_aspect
        self.attempts = attempts

    def extra_repr(self) -> str:
        return (f'area=[{self.min_area}, {self.max_area}], '
                f'min_aspect={self.min_aspect}, attempts={self.attempts}')

    def forward(self,
                scores: Tensor,
                num_visible: Union[int, Tensor],
                grid: Tuple[int, int],
                noise: Optional[Tensor] = None) -> Tensor:
        """Choose; ``noise`` (B, L) decides among tokens outside blocks."""
        batch_size, num_tokens = scores.shape
        counts = torch.as_tensor(num_visible).expand(batch_size).tolist()
        blocks = torch.stack([
            block_mask(grid, num_tokens - count, TorchDraws(), self.min_area,
                       self.max_area, self.min_aspect, self.attempts)
            for count in counts
        ]).flatten(1).to(scores.device)
        if noise is None:
            noise = torch.rand_like(scores)
        # Block tokens rank above all others, so they are hidden first.
        return F.hide_top(blocks + noise * 0.5, num_visible)
