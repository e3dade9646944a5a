# Copyright (c) OpenMMLab. All rights reserved.
"""Batches of data sets whose samples are more, or already batches."""
from collections.abc import Sequence
from typing import Any

from mmengine.dataset import default_collate

from sbam_mm.registry import FUNCTIONS


@FUNCTIONS.register_module()
def flat_collate(batch: Sequence[Sequence]) -> Any:
    """Join the crops of repeated augmentation to one batch.

    Args:
        batch (Sequence[Sequence]): Samples of ``ImageFolder`` with
            ``repeats`` above 1: lists of dicts.

    Returns:
        Any: As mmengine's ``default_collate`` of all of them, crops of an
        image next to each other.

    Example:
        >>> flat_collate([[dict(x=1), dict(x=2)], [dict(x=3), dict(x=4)]])
        {'x': tensor([1, 2, 3, 4])}
    """
    return default_collate([sample for crops in batch for sample in crops])


@FUNCTIONS.register_module()
def whole_batch(batch: Any) -> Any:
    """Leave a batch as ``ImagesOnDevice`` made it.

    Args:
        batch (Any): The batch.

    Example:
        >>> whole_batch('a batch')
        'a batch'
    """
    return batch
