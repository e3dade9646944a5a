# Copyright (c) OpenMMLab. All rights reserved.
"""Steps of the optimizer that are made of several batches.

``optim_wrapper.accumulative_counts=m`` adds up the gradients of m iterations.
What follows makes such a step as one of a batch m times as large.
"""
from typing import Any

from mmengine._strategy import BaseStrategy
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from sbam_mm.errors import UserError


def accumulation_of(optim_wrapper: Any) -> int:
    """Iterations of an optimizer step."""
    return getattr(optim_wrapper, '_accumulative_counts', 1)


def check_accumulation(runner: Any) -> None:
    """Stop where a resumed run would lose a part of a step.

    Checkpoints hold no gradients, so all of them must lie between two steps.
    """
    counts = accumulation_of(runner.optim_wrapper)
    if counts == 1:
        return
    by = f'optim_wrapper.accumulative_counts={counts}'
    loop = runner.train_loop
    if isinstance(loop, EpochBasedTrainLoop) and loop.max_epochs > 1:
        iterations = len(loop.dataloader)
        if iterations % counts:
            raise UserError(
                f'an epoch has {iterations} iterations, which {by} does not '
                'divide, so a resumed run would lose a part of a step; set '
                "train_dataloader.batch_sampler=dict(type='sbam_mm."
                f"WholeSteps', accumulative_counts={counts}) and "
                'train_dataloader.drop_last=False.')
    if runner.iter % counts:
        raise UserError(
            f'the checkpoint was made after {runner.iter} iterations, in the '
            f'middle of a step by {by}, and holds no gradients; resume from '
            f'one after a multiple of {counts}.')
    for hook in runner.hooks:
        if (isinstance(hook, CheckpointHook) and not hook.by_epoch
                and hook.interval > 0 and hook.interval % counts):
            raise UserError(
                f'default_hooks.checkpoint.interval={hook.interval} saves in '
                f'the middle of a step by {by}, which a resumed run would '
                f'lose a part of; give a multiple of {counts}.')


class FirstRates:
    """Steps with the learning rate of their first micro-batch.

    mmengine moves its schedules after every iteration, so that a step would
    be made at the rate of its last one, further on than the same batch in one
    piece. Whatever is scheduled is exchanged for the step alone: schedules go
    on from their own last value.
    """

    def __init__(self, runner: Any):
        self.noted: list[dict[str, Any]] | None = None
        self.handles: list[Any] = []
        if accumulation_of(runner.optim_wrapper) == 1:
            return
        schedulers = runner.param_schedulers or []
        if isinstance(schedulers, dict):
            schedulers = [one for some in schedulers.values() for one in some]
        self.names = {scheduler.param_name for scheduler in schedulers}
        if 'momentum' in self.names:
            self.names.add('betas')
        self.optimizer: Optimizer = runner.optim_wrapper.optimizer
        self.handles = [
            self.optimizer.register_step_pre_hook(self._before_step),
            self.optimizer.register_step_post_hook(self._after_step)
        ]

    def note(self) -> None:
        """At the first micro-batch of a step."""
        if self.handles:
            self.noted = self._values()

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def _values(self) -> list[dict[str, Any]]:
        return [{name: group[name] for name in self.names & group.keys()}
                for group in self.optimizer.param_groups]

    def _put(self, values: list[dict[str, Any]]) -> None:
        for group, value in zip(self.optimizer.param_groups, values):
            group.update(value)

    def _before_step(self, optimizer: Optimizer, args: Any,
                     kwargs: Any) -> None:
        self.last = self._values()
        if self.noted is not None:
            self._put(self.noted)

    def _after_step(self, optimizer: Optimizer, args: Any,
                    kwargs: Any) -> None:
        self._put(self.last)


def scale_rates(optim_wrapper: OptimWrapper, auto_scale_lr: dict | None,
                batch_size: int, processes: int, logger: Any) -> None:
    """Scale learning rates by the real over the intended batch of a step.

    In place, before schedulers are built; ``batch_size`` is that of one
    process and iteration.
    """
    if not (auto_scale_lr or {}).get('enable'):
        return
    assert auto_scale_lr is not None
    if 'base_batch_size' not in auto_scale_lr:
        raise UserError(
            'auto_scale_lr.enable needs auto_scale_lr.base_batch_size, the '
            'images of a step that the learning rate is meant for; add it.')
    base = auto_scale_lr['base_batch_size']
    wrappers = list(optim_wrapper.values()) if isinstance(
        optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    for wrapper in wrappers:
        counts = accumulation_of(wrapper)
        real = batch_size * processes * counts
        before = wrapper.optimizer.defaults['lr']
        logger.info(
            f'Learning rate: a step has {batch_size} images x {processes} '
            f'processes x {counts} accumulated = {real}, and the config is '
            f'for {base}; {before:g} becomes {before * real / base:g}.')
        # The last are those that mmengine logs as the rate.
        for group in wrapper.param_groups:
            group['lr'] = group['lr'] * (real / base)


def _scale_lr(runner: Runner,
              optim_wrapper: OptimWrapper,
              auto_scale_lr: dict | None = None) -> None:
    """mmengine's ``Runner.scale_lr``, accumulation included."""
    loader: Any = runner._train_dataloader
    if isinstance(loader, DataLoader):
        size: Any = getattr(loader.batch_sampler, 'batch_size',
                            loader.batch_size)
    else:
        size = loader['batch_size']
    scale_rates(optim_wrapper, auto_scale_lr, size, runner.world_size,
                runner.logger)


def _scale_lr_of_strategy(strategy: BaseStrategy) -> None:
    """Likewise of the strategies of ``FlexibleRunner``."""
    size = strategy.dispatch_kwargs.get('train_micro_batch_size_per_gpu')
    scale_rates(strategy.optim_wrapper, strategy._auto_scale_lr, size,
                strategy.world_size, strategy.logger)


# mmengine's own leave the accumulation out, in whatever tool they run.
Runner.scale_lr = _scale_lr
BaseStrategy._scale_lr = _scale_lr_of_strategy
