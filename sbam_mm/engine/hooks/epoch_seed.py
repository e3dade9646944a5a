# Copyright (c) OpenMMLab. All rights reserved.
"""Random numbers that depend on the epoch and not on what came before."""
import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sbam_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every epoch from (seed, rank, epoch).

    A run that stops after an epoch and resumes then draws the same masks
    and crops, to the bit, as one that never stopped; mmengine's checkpoints
    hold no random state. Ranks draw different numbers. Data workers take
    their seed from the main process at the start of each epoch, so
    augmentations differ from epoch to epoch; mmengine's own
    ``worker_init_fn`` would give fresh workers the same seed every time.

    Note:
        Workers must be started afresh each epoch
        (``persistent_workers=False``), which costs a second or two.

    Example::

        custom_hooks = [dict(type='sbam_mm.EpochSeedHook')]
    """
    # Before any other hook that might draw.
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        if loader.num_workers and loader.persistent_workers:
            raise ValueError(
                'EpochSeedHook makes runs resumable to the bit, for which '
                'workers must start afresh each epoch; set '
                'train_dataloader.persistent_workers=False or remove the '
                'hook from custom_hooks.')
        # torch seeds a worker's generators from the main process's before
        # this function would overwrite them.
        loader.worker_init_fn = None

    def before_train_epoch(self, runner: Runner) -> None:
        entropy = [runner.seed or 0, get_rank(), runner.epoch]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)  # every CUDA device included
