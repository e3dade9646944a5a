# Copyright (c) OpenMMLab. All rights reserved.
"""Maps of patches on another grid, and images cut into another grid."""
import torch
import torch.nn.functional as F
from torch import Tensor

RESAMPLE = ('area', 'nearest', 'bilinear', 'bicubic')


def on_grid(received: Tensor,
            own: tuple[int, int],
            grid: tuple[int, int],
            resample: str = 'area') -> Tensor:
    """What patches receive, (B, heads, h * w), on another grid of patches.

    By "area" their sum stays the same.

    Example:
        >>> on_grid(torch.ones(1, 1, 6), (2, 3), (1, 2)).tolist()
        [[[3.0, 3.0]]]
    """
    if own == grid:
        return received
    maps = received.unflatten(-1, own)
    if resample == 'area':
        rows, columns = (overlaps(*sides).to(maps)
                         for sides in zip(own, grid))
        return (rows @ maps @ columns.T).flatten(-2)
    smooth = resample != 'nearest'
    return F.interpolate(
        maps, grid, mode=resample, antialias=smooth,
        **(dict(align_corners=False) if smooth else {})).flatten(-2)


def overlaps(source: int, target: int) -> Tensor:
    """Which share of each of ``source`` equal parts of a line lies in each
    of ``target``, (target, source).

    Example:
        >>> overlaps(3, 2)
        tensor([[1.0000, 0.5000, 0.0000],
                [0.0000, 0.5000, 1.0000]])
    """
    ours = torch.arange(source, dtype=torch.float64) * target
    theirs = torch.arange(target, dtype=torch.float64)[:, None] * source
    shared = (torch.minimum(ours + target, theirs + source) -
              torch.maximum(ours, theirs)).clamp(min=0)
    return (shared / target).float()


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images of a height and width in pixels, as they are if they have it."""
    if images.shape[2:] == size:
        return images
    return F.interpolate(
        images, size, mode='bicubic', antialias=True, align_corners=False)
