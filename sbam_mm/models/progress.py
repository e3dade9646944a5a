# Copyright (c) OpenMMLab. All rights reserved.
"""How far the training has come: the one place that everything asks.

mmengine's loop over iterations has one endless epoch, number 0, and no loop
says how many iterations make a step of the optimizer. Both are written into
the message hub here, before the first iteration of any run.
"""
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.hooks import RuntimeInfoHook
from mmengine.logging import MessageHub
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import DataLoader

from sbam_mm.errors import UserError

from .accumulation import FirstRates, accumulation_of, check_accumulation


@dataclass(frozen=True)
class Clock:
    """Iterations, optimizer steps and epochs of a training.

    With gradient accumulation an iteration is a micro-batch. All of the
    micro-batches of one step share its progress and its epoch.

    Args:
        iteration (int): Number of this iteration, from 0.
        max_iters (int): Of the training; 0 outside a runner.
        accumulation (int): Iterations of a step.
        loop_epoch, loop_epochs (int): What a loop that counts epochs says.
        epoch_iters (int, optional): Iterations of an epoch, in a loop that
            counts none.

    Example:
        >>> clock = Clock(iteration=9, max_iters=40, accumulation=2,
        ...               epoch_iters=4)
        >>> clock.step, clock.max_steps, clock.epoch, clock.progress
        (4, 20, 2, 0.2)
    """
    iteration: int = 0
    max_iters: int = 0
    accumulation: int = 1
    loop_epoch: int = 0
    loop_epochs: int = 0
    epoch_iters: int | None = None

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.iteration // self.accumulation

    @property
    def max_steps(self) -> int:
        """Optimizer steps of the training; mmengine's last may be short."""
        return -(-self.max_iters // self.accumulation)

    @property
    def step_begins(self) -> bool:
        """Whether this is the first micro-batch of a step."""
        return self.iteration % self.accumulation == 0

    @property
    def step_ends(self) -> bool:
        """Whether the optimizer steps after this micro-batch."""
        done = self.iteration + 1
        return done % self.accumulation == 0 or done == self.max_iters

    @property
    def progress(self) -> float:
        """Share of the training done, in [0, 1]; 0. outside a runner."""
        if not self.max_iters:
            return 0.
        return min(self.step * self.accumulation / self.max_iters, 1.)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        if self.epoch_iters is None:
            return self.loop_epoch
        return self.step * self.accumulation // self.epoch_iters

    @property
    def epochs(self) -> float:
        """Epochs of the training; 0 outside a runner."""
        if self.epoch_iters is None:
            return self.loop_epochs
        return self.max_iters / self.epoch_iters

    def epoch_of(self, step: int) -> int:
        """The epoch in which an optimizer step is made."""
        # Whole numbers: a float quotient may fall short of the epoch.
        done = step * self.accumulation
        if self.epoch_iters is not None:
            return done // self.epoch_iters
        return done * self.loop_epochs // self.max_iters if (
            self.max_iters) else 0


def clock() -> Clock:
    """What the message hub of the current run says."""
    info = MessageHub.get_current_instance().get_info
    max_iters = info('max_iters', 0)
    counted = dict(
        accumulation=info('accumulative_counts', 1),
        epoch_iters=info('epoch_iters', None)) if max_iters else {}
    return Clock(
        iteration=info('iter', 0),
        max_iters=max_iters,
        loop_epoch=info('epoch', 0),
        loop_epochs=info('max_epochs', 0),
        **counted)


def training_progress() -> tuple[float, int]:
    """:attr:`Clock.progress` and :attr:`Clock.epoch` of the current run."""
    now = clock()
    return now.progress, now.epoch


def counts_iterations(runner: Any) -> bool:
    """Whether a runner's loop has no epochs of its own."""
    return isinstance(getattr(runner, 'train_loop', None), IterBasedTrainLoop)


def epoch_of(runner: Any) -> int:
    """Epochs that a runner's training has done, in either loop."""
    if not counts_iterations(runner):
        return runner.epoch
    return runner.iter // iterations_per_epoch(runner.train_dataloader)


def iterations_per_epoch(loader: DataLoader) -> int:
    """Iterations, 1 or more, for a process to see its share of the images."""
    dataset: Any = loader.dataset
    batches = loader.batch_sampler
    sampler = getattr(batches, 'sampler', loader.sampler)
    try:
        if not isinstance(sampler, InfiniteSampler):
            return max(len(loader), 1)
        # Its length is that of the data set, whatever the processes.
        images = -(-len(dataset) // get_world_size())
    except TypeError:
        raise UserError(
            f'{type(dataset).__name__} has no length, so nothing can '
            'be counted in epochs; give it __len__.') from None
    size = getattr(batches, 'batch_size', None) or loader.batch_size or 1
    if getattr(batches, 'drop_last', loader.drop_last):
        return max(images // size, 1)
    return -(-images // size)


def tell_models(runner: Any) -> None:
    """Write what mmengine leaves out into the message hub."""
    epoch_iters = None
    if counts_iterations(runner):
        epoch_iters = iterations_per_epoch(runner.train_dataloader)
    runner.message_hub.update_info_dict(
        dict(
            epoch_iters=epoch_iters,
            accumulative_counts=accumulation_of(runner.optim_wrapper)))


def extend(method: str) -> Callable:
    """Make a function run after a method of mmengine's ``RuntimeInfoHook``.

    Every runner has this hook by default, also those that know our models
    from a config of their own, so there is nothing to be forgotten.
    """

    def decorate(ours: Callable) -> Callable:
        theirs = getattr(RuntimeInfoHook, method)

        @wraps(theirs)
        def both(self, runner, *args, **kwargs):
            theirs(self, runner, *args, **kwargs)
            ours(self, runner)

        setattr(RuntimeInfoHook, method, both)
        return ours

    return decorate


@extend('before_train')
def _begin(hook: RuntimeInfoHook, runner: Any) -> None:
    tell_models(runner)
    check_accumulation(runner)
    hook.first_rates = FirstRates(runner)


@extend('before_train_iter')
def _note_rates(hook: RuntimeInfoHook, runner: Any) -> None:
    if clock().step_begins:
        hook.first_rates.note()


@extend('after_train')
def _end(hook: RuntimeInfoHook, runner: Any) -> None:
    hook.first_rates.remove()
    for name in ('epoch_iters', 'accumulative_counts'):
        runner.message_hub.pop_info(name, None)
