# Copyright (c) OpenMMLab. All rights reserved.
"""Batches of data sets whose samples are more, or already batches."""
from collections.abc import Sequence
from typing import Any

from mmengine.dataset import default_collate

from sbam_mm.registry import FUNCTIONS


@FUNCTIONS.register_module()
def flat_collate(batch: Sequence[Sequence]) -> Any:
    """Join the crops of repeated augmentation to one batch.

    The samples are those of ``ImageFolder`` with ``repeats`` above 1: lists
    of dicts. Crops of an image lie next to each other in the batch.

    Example:
        >>> flat_collate([[dict(x=1), dict(x=2)], [dict(x=3), dict(x=4)]])
        {'x': tensor([1, 2, 3, 4])}
    """
    return default_collate([sample for crops in batch for sample in crops])


@FUNCTIONS.register_module()
def whole_batch(batch: Any) -> Any:
    """Leave a batch as ``ImagesOnDevice`` made it."""
    return batch
