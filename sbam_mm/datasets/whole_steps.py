# Copyright (c) OpenMMLab. All rights reserved.
"""Epochs that end with a step of the optimizer."""
from collections.abc import Iterator
from itertools import islice

from torch.utils.data import BatchSampler, Sampler

from sbam_mm.errors import UserError
from sbam_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class WholeSteps(BatchSampler):
    """Batches that make up whole accumulated steps of the optimizer.

    The last batches of an epoch that do not fill a step are left out, as
    MAE's official code discards their gradients, and as ``drop_last`` would
    with one large batch. mmengine carries them over into the next epoch, and
    a run that resumes there has lost them.

    Args:
        sampler (Sampler): Gives the indices; mmengine passes it.
        batch_size (int): Of one process and iteration; likewise.
        accumulative_counts (int): As that of ``optim_wrapper``.

    Example:
        >>> list(WholeSteps(range(7), batch_size=2, accumulative_counts=3))
        [[0, 1], [2, 3], [4, 5]]
    """

    def __init__(self,
                 sampler: Sampler,
                 batch_size: int,
                 accumulative_counts: int,
                 drop_last: bool = False):
        if accumulative_counts < 1:
            raise UserError(
                f'WholeSteps(accumulative_counts={accumulative_counts}) makes '
                'no step; give the number of optim_wrapper.')
        super().__init__(sampler, batch_size, drop_last)
        self.accumulative_counts = accumulative_counts

    def __iter__(self) -> Iterator[list[int]]:
        return islice(super().__iter__(), len(self))

    def __len__(self) -> int:
        batches = super().__len__()
        return batches - batches % self.accumulative_counts
