# Copyright (c) OpenMMLab. All rights reserved.
"""Windows of a map of tokens."""

import torch.nn.functional as F
from torch import Tensor


def to_windows(x: Tensor, size: int) -> Tensor:
    """Cut maps into squares: (B, H, W, D) -> (B * windows, size, size, D).

    Maps are padded with zeros at the bottom and right, which makes
    ceil(H / size) * ceil(W / size) windows of each, row by row.

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
    """Inverse of :func:`to_windows` for maps of ``shape`` (H, W)."""
    size = windows.shape[1]
    rows, columns = (-(-side // size) for side in shape)
    x = windows.unflatten(0, (-1, rows, columns)).transpose(2, 3)
    x = x.flatten(1, 2).flatten(2, 3)
    return x[:, :shape[0], :shape[1]]
