# Copyright (c) OpenMMLab. All rights reserved.
"""Maps that come with the batch: one number per patch, from the pipeline."""
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sbam_mm.errors import UserError


def stored_map(data_samples: Sequence | None,
               key: str,
               grid: tuple[int, int],
               device: torch.device,
               transform: str,
               who: str = 'the masker',
               view: int | None = None,
               highest: int | None = None) -> Tensor | None:
    """Gather a map of every image of a batch: (B, L) in the arrays' type.

    Args:
        data_samples (Sequence[DataSample], optional): With NumPy arrays
            (h, w) under ``key``; empty arrays where none is stored yet.
        grid (tuple[int, int]): Patches per column and per row.
        transform, who (str): The transform that makes the map, and who
            asks for it, for messages.
        view (int, optional): Which one of a list, where every view of an
            image has a map.
        highest (int, optional): The largest number allowed.

    Returns:
        Tensor or None: None as long as the pipeline has no maps.

    Raises:
        UserError: If the pipeline does not make maps, or for another grid.
    """
    maps = [
        sample.get(key) for sample in data_samples or [None]
        if sample is not None
    ]
    if not maps or any(array is None for array in maps):
        raise UserError(
            f'{who} asks for {key!r}, which the pipeline does not make; '
            f"add dict(type='sbam_mm.{transform}') before PackInputs and "
            f"{key!r} to PackInputs' algorithm_keys.")
    if view is None and any(isinstance(array, list) for array in maps):
        raise UserError(
            f'{key!r} has a map for each of several views, but the model '
            'learns from one; take MultiView out of the pipeline.')
    if view is not None:
        if not all(isinstance(views, list) for views in maps):
            raise UserError(
                f'{key!r} has one map per image, but the model wants one per '
                f"view; put dict(type='sbam_mm.{transform}') into the "
                "transforms of each view, and "
                f"keys=[{key!r}] into dict(type='sbam_mm.MultiView').")
        maps = [views[view] for views in maps]
    shapes = {array.shape for array in maps}
    if any(0 in shape for shape in shapes):
        return None
    if shapes != {tuple(grid)}:
        found = ' and '.join(str(shape) for shape in sorted(shapes))
        raise UserError(
            f'{key!r} has the grid {found}, but the model cuts the images '
            f'into {grid[0]} x {grid[1]} patches; set grid={tuple(grid)} in '
            f"dict(type='sbam_mm.{transform}').")
    # One array and one transfer, where data samples would take one each.
    numbers = np.stack(maps)
    if highest is not None and numbers.max() > highest:
        raise UserError(
            f'{key!r} has the id {numbers.max()}, but {who} is made for '
            f'{highest}; set backbone.segment_bias.max_segments='
            f'{numbers.max()}.')
    stacked = torch.from_numpy(numbers).flatten(1)
    return stacked.to(device, non_blocking=True)
