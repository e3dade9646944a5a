# Copyright (c) OpenMMLab. All rights reserved.
"""Random numbers that depend on the epoch and not on what came before."""
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader

from sbam_mm.errors import UserError
from sbam_mm.models.progress import counts_iterations, iterations_per_epoch
from sbam_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every epoch from (seed, rank, epoch).

    A run that stops after an epoch and resumes then draws the same masks
    and crops, to the bit, as one that never stopped; mmengine's checkpoints
    hold no random state. Data workers take their seed from the main process
    at the start of each epoch, so augmentations differ from epoch to epoch;
    mmengine's own ``worker_init_fn`` would give fresh workers the same seed
    every time. They must therefore be started afresh each epoch
    (``persistent_workers=False``), which costs a second or two.

    In a loop over iterations an epoch is as many of them as show every image
    once, and with the same sampler the numbers are those of a loop over
    epochs. A checkpoint to resume from lies between two epochs.

    Raises:
        UserError: At the start of the training, for persistent workers, a
            checkpoint from the middle of an epoch, or batches in a loop over
            iterations that cannot be divided into epochs.
    """
    # Before any other hook that might draw.
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        if loader.num_workers and loader.persistent_workers:
            raise UserError(
                'EpochSeedHook makes runs resumable to the bit, for which '
                'workers must start afresh each epoch; set '
                'train_dataloader.persistent_workers=False or remove the '
                'hook from custom_hooks.')
        # torch seeds a worker's generators from the main process's before
        # this function would overwrite them.
        loader.worker_init_fn = None
        if not counts_iterations(runner):
            return
        iterations = iterations_per_epoch(loader)
        if runner.iter % iterations:
            raise UserError(
                f'the checkpoint was made after {runner.iter} iterations, in '
                f'the middle of an epoch of {iterations}, and holds no random '
                'state, so EpochSeedHook cannot go on to the bit; resume from '
                'one between two epochs (default_hooks.checkpoint.interval='
                f'{iterations} or a multiple) or remove the hook from '
                'custom_hooks.')
        epochs = SeededEpochs(
            loader, iterations, lambda epoch: self.seed(runner, epoch))
        if getattr(runner.train_loop, 'fast_forward_on_resume', False):
            # mmengine would begin again with the first images.
            epochs.skip_iter(runner.iter)
        runner.train_loop.dataloader_iterator = epochs

    def before_train_epoch(self, runner: Runner) -> None:
        if not counts_iterations(runner):
            self.seed(runner, runner.epoch)

    @staticmethod
    def seed(runner: Runner, epoch: int) -> None:
        """Seed Python, NumPy and torch for an epoch."""
        entropy = [runner.seed or 0, get_rank(), epoch]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)  # every CUDA device included


class SeededEpochs:
    """Batches of one epoch after the other, for mmengine's endless loop.

    Args:
        loader (DataLoader): An endless sampler of it is cut into epochs.
        iterations (int): Of an epoch.
        seed (Callable): Called with the epoch before its workers start.

    Raises:
        UserError: If an endless sampler is not batched by torch's
            ``BatchSampler``.
    """

    def __init__(self, loader: DataLoader, iterations: int,
                 seed: Callable[[int], None]):
        self.loader = loader
        self.iterations = iterations
        self.seed = seed
        self.epoch = -1
        self.batches: Iterator[Any] = iter(())
        batch_sampler: Any = loader.batch_sampler
        self.sampler = getattr(batch_sampler, 'sampler', loader.sampler)
        if isinstance(self.sampler, InfiniteSampler):
            if type(batch_sampler) is not BatchSampler:
                raise UserError(
                    'EpochSeedHook cannot tell where the epochs of '
                    f'{type(batch_sampler).__name__} end; set train_cfg='
                    "dict(by_epoch=True, max_epochs=...) and a "
                    'DefaultSampler, or remove the hook from custom_hooks.')
            images = iterations * batch_sampler.batch_size
            batch_sampler.sampler = EpochIndices(self.sampler, images)
            self.parts = batch_sampler.sampler

    def __iter__(self) -> 'SeededEpochs':
        return self

    def __next__(self) -> Any:
        batch = next(self.batches, None)
        if batch is None:
            self._begin(self.epoch + 1)
            batch = next(self.batches)
        return batch

    def skip_iter(self, iterations: int) -> None:
        """Go to where a resumed training begins, reading nothing."""
        self.epoch = iterations // self.iterations - 1
        if isinstance(self.sampler, InfiniteSampler):
            # Its own `skip` is not in every version of mmengine.
            for _ in range(self.epoch + 1):
                for _ in self.parts:
                    pass

    def _begin(self, epoch: int) -> None:
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)
        self.seed(epoch)
        self.batches = iter(self.loader)


class EpochIndices:
    """The indices of an endless sampler, ``images`` of them per epoch."""

    def __init__(self, sampler: InfiniteSampler, images: int):
        # One for all parts: the sampler ends with its first iterator.
        self.indices = iter(sampler)
        self.images = images

    def __iter__(self) -> Iterator[int]:
        return islice(self.indices, self.images)

    def __len__(self) -> int:
        return self.images
