# Copyright (c) OpenMMLab. All rights reserved.
"""Change the length of a config's training, and its schedule with it."""
import copy
import math
from typing import Any

from mmengine._strategy import BaseStrategy
from mmengine.config import Config
from mmengine.runner import Runner

from sbam_mm.errors import UserError

# Their first value stays behind where they have no second one.
WARM_UP = ('start_factor', 'factor')


def set_epochs(cfg: Config,
               epochs: int,
               iterations: int | None = None) -> None:
    """Train for another number of epochs, schedules scaled in proportion.

    What methods count in epochs of their own (``start_epoch`` of a masker,
    ``interval`` of a hook) stays as it is.

    Args:
        cfg (Config): Of a training by epochs; changed in place.
        iterations (int, optional): Of an epoch. If given, a part of the
            schedule (a warm-up of a tenth of an epoch) is made at least one
            iteration long; mmengine refuses empty ones.

    Example:
        >>> cfg = Config(dict(
        ...     train_cfg=dict(by_epoch=True, max_epochs=400),
        ...     param_scheduler=[
        ...         dict(type='LinearLR', begin=0, end=40),
        ...         dict(type='CosineAnnealingLR', begin=40, end=400,
        ...              T_max=360)]))
        >>> set_epochs(cfg, 100)
        >>> cfg.train_cfg.max_epochs, cfg.param_scheduler[1].T_max
        (100, 90.0)
    """
    before = cfg.get('train_cfg', {}).get('max_epochs')
    if not before:
        raise UserError('the config has no train_cfg.max_epochs, so its '
                        'number of epochs cannot be changed; choose a '
                        'config that trains by epochs.')
    if epochs < 1:
        raise UserError(f'a training has at least 1 epoch, got {epochs}.')

    def scaled(time: float) -> float:
        moved = time * epochs / before
        return max(moved, 1 / iterations) if time and iterations else moved

    schedulers = cfg.get('param_scheduler') or []
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    for scheduler in schedulers:
        begin, end = scheduler.get('begin', 0), scheduler.get('end')
        for key in {'begin', 'end', 'T_max'} & scheduler.keys():
            scheduler[key] = scaled(scheduler[key])
        # Half a cosine over all of its part stays that.
        if end is not None and 'T_max' in scheduler and math.isclose(
                scheduler.T_max, scaled(end - begin)):
            scheduler.T_max = scheduler.end - scheduler.get('begin', 0)
    cfg.train_cfg.max_epochs = epochs


def whole_steps(cfg: Config) -> list[str]:
    """Make every epoch of an accumulating config end with an optimizer step.

    See :class:`sbam_mm.datasets.WholeSteps`. A batch sampler of another kind
    stays. Returns what was changed, for the log.
    """
    counts = (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    by_epoch = (cfg.get('train_cfg') or {}).get('max_epochs')
    loader: Any = cfg.get('train_dataloader') or {}
    made = loader.get('batch_sampler')
    if counts == 1 or not by_epoch or not loader or (
            made and not str(made.get('type')).endswith('WholeSteps')):
        return []
    loader.batch_sampler = dict(
        type='sbam_mm.WholeSteps',
        accumulative_counts=counts,
        drop_last=bool(loader.pop('drop_last', False)
                       or (made or {}).get('drop_last', False)))
    if loader.batch_sampler == made:
        return []
    return [f'{counts} iterations make a step of the optimizer; those at the '
            'end of an epoch that make no whole one are left out.']


def fit_schedule(schedulers: Any, iterations: int) -> tuple[Any, list[str]]:
    """Drop parts that are too short for a small data set.

    mmengine rounds the ends of parts down to iterations and refuses an empty
    one. A warm-up of a single iteration is as bad: it would leave the rate at
    its start for good. What follows begins earlier instead.

    Args:
        schedulers (list[dict] or dict): mmengine's ``param_scheduler``. Parts
            without ``convert_to_iter_based`` stay as they are.
        iterations (int): Of an epoch; at least 1.

    Returns:
        tuple: The schedulers, and a sentence for each that was left out.

    Example:
        >>> fitted, notes = fit_schedule([
        ...     dict(type='LinearLR', start_factor=0.01, end=0.4,
        ...          convert_to_iter_based=True),
        ...     dict(type='CosineAnnealingLR', begin=0.4, end=4, T_max=3.6,
        ...          convert_to_iter_based=True)], iterations=1)
        >>> fitted[0]['type'], fitted[0]['begin'], fitted[0]['T_max']
        ('CosineAnnealingLR', 0, 4)
    """
    if isinstance(schedulers, dict) and 'type' not in schedulers:
        fitted, notes = {}, []
        for name, some in schedulers.items():
            fitted[name], more = fit_schedule(some, iterations)
            notes += more
        return fitted, notes
    parts = schedulers if isinstance(schedulers, list) else [schedulers]
    parts = [copy.deepcopy(part) if isinstance(part, dict) else part
             for part in parts]
    if iterations < 1:
        raise UserError(
            'the training set makes no batch, so there is nothing to train '
            'with: it has fewer images than a step of the optimizer; lower '
            'train_dataloader.batch_size or optim_wrapper.'
            'accumulative_counts.')
    notes = []
    for part in list(parts):
        if not isinstance(part, dict) or not part.get(
                'convert_to_iter_based'):
            continue
        begin, end = part.get('begin', 0), part.get('end', math.inf)
        if end <= begin or end == math.inf:
            continue  # mmengine says so, or it is long enough
        length = int(end * iterations) - int(begin * iterations)
        warm_up = any(key in part for key in WARM_UP)
        if length >= (2 if warm_up else 1):
            continue
        parts.remove(part)
        notes.append(
            f'The schedule shrinks: {"the warm-up by " if warm_up else ""}'
            f'{part["type"]} from epoch {begin:g} to {end:g} is left out; its '
            f'iterations would be {length}, those of an epoch are '
            f'{iterations}.')
        for other in parts:
            if isinstance(other, dict) and math.isclose(
                    other.get('begin', 0), end):
                move_begin(other, begin)
    return parts, notes


def move_begin(part: dict, begin: float) -> None:
    """Move the begin of a schedule's part; a full cosine stays a full one."""
    before, end = part.get('begin', 0), part.get('end')
    if end is not None and 'T_max' in part and math.isclose(
            part['T_max'], end - before):
        part['T_max'] = end - begin
    part['begin'] = begin


def _fitting(runner: Runner, scheduler: Any) -> Any:
    """mmengine's ``Runner.build_param_scheduler`` after ``fit_schedule``."""
    loader = runner.train_dataloader
    if hasattr(type(loader.dataset), '__len__'):
        scheduler, notes = fit_schedule(scheduler, len(loader))
        for note in notes:
            runner.logger.info(note)
    return _build(runner, scheduler)


def _fitting_of_strategy(strategy: BaseStrategy, scheduler: Any, *args: Any,
                         **kwargs: Any) -> Any:
    """The same for the strategies of ``FlexibleRunner``."""
    scheduler, notes = fit_schedule(scheduler,
                                    strategy.dispatch_kwargs['epoch_length'])
    for note in notes:
        strategy.logger.info(note)
    return _build_of_strategy(strategy, scheduler, *args, **kwargs)


# In every tool, and in programs that build a Runner of our configs.
_build = Runner.build_param_scheduler
_build_of_strategy = BaseStrategy.build_param_scheduler
Runner.build_param_scheduler = _fitting
BaseStrategy.build_param_scheduler = _fitting_of_strategy
