# Copyright (c) OpenMMLab. All rights reserved.
"""Fixed sine-cosine position embedding."""

from mmpretrain.models.utils import build_2d_sincos_position_embedding
from torch import Tensor

from sbam_mm.errors import UserError


def sincos_position(grid: tuple[int, int], dim: int) -> Tensor:
    """2D sine-cosine table, float32 (1, 1 + h * w, dim), row by row.

    A row of zeros for the class token comes first. It equals the official
    MAE's after swapping the two channel halves, so weights trained on one
    need their own ``pos_embed`` (checkpoints hold it).
    """
    if dim % 4:
        raise UserError(
            f'a 2D sine-cosine embedding wants channels divisible by 4, got '
            f'{dim}; change embed_dims.')
    # mmpretrain runs over the width first; handing over (w, h) makes it run
    # row by row on grids that are not square, and changes nothing on squares.
    table = build_2d_sincos_position_embedding(
        (grid[1], grid[0]), dim, cls_token=True)
    return table.float()
