# Copyright (c) OpenMMLab. All rights reserved.
"""Windows of a map of tokens."""

import torch.nn.functional as F
from torch import Tensor


def to_windows(x: Tensor, size: int) -> Tensor:
    """Cut maps into squares, padded with zeros at the bottom and right.

    Args:
        x (Tensor): (B, H, W, D).
        size (int): Side of a window.

    Returns:
        Tensor: (B * windows, size, size, D), row by row, with
        ceil(H / size) * ceil(W / size) windows for each map.

    Example:
        >>> import torch
        >>> x = torch.arange(6.).view(1, 2, 3, 1)
        >>> to_windows(x, 2)[1].flatten().tolist()
        [2.0, 0.0, 5.0, 0.0]
        >>> torch.equal(from_windows(to_windows(x, 2), (2, 3)), x)
        True
    """
    height, width = x.shape[1:3]
    x = F.pad(x, (0, 0, 0, -width % size, 0, -height % size))
    rows, columns = x.shape[1] // size, x.shape[2] // size
    x = x.unflatten(2, (columns, size)).unflatten(1, (rows, size))
    return x.transpose(2, 3).flatten(0, 2)


def from_windows(windows: Tensor, shape: tuple[int, int]) -> Tensor:
    """Put windows together again and cut the padding off.

    Args:
        windows (Tensor): From :func:`to_windows`.
        shape (tuple[int, int]): Height and width of the maps.

    Returns:
        Tensor: (B, H, W, D).
    """
    size = windows.shape[1]
    rows, columns = (-(-side // size) for side in shape)
    x = windows.unflatten(0, (-1, rows, columns)).transpose(2, 3)
    x = x.flatten(1, 2).flatten(2, 3)
    return x[:, :shape[0], :shape[1]]
