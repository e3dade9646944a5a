# Copyright (c) OpenMMLab. All rights reserved.
"""Errors of a training config, found before anything is built."""
import logging
import multiprocessing
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.registry import (
    FUNCTIONS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    DefaultScope,
    Registry,
)
from mmengine.runner import Runner
from torch.nn.utils import clip_grad_norm_

from sbam_mm.command_line.explain import (
    options_of,
    unknown_name,
    unknown_option,
)
from sbam_mm.errors import UserError
from sbam_mm.registry import MODELS

# Where a config names something that mmengine reports badly.
NAMED: tuple[tuple[str, Registry], ...] = (
    ('optim_wrapper', OPTIM_WRAPPERS),
    ('optim_wrapper.optimizer', OPTIMIZERS),
    ('train_dataloader.collate_fn', FUNCTIONS),
)
COUNTS = {
    'train_cfg.max_epochs': 1,
    'train_cfg.max_iters': 1,
    'train_dataloader.batch_size': 1,
    'train_dataloader.num_workers': 0,
    'optim_wrapper.accumulative_counts': 1,
    'randomness.seed': 0,
}


def check_training(cfg: Config) -> None:
    """Reject unusable values and unknown names of any OpenMMLab config."""
    options = cfg.to_dict()
    for name in ('model', 'train_dataloader', 'optim_wrapper', 'train_cfg'):
        part = options.get(name)
        if part is not None and not isinstance(part, dict):
            raise UserError(f'{name} is {part!r} in the config; it is a '
                            'dict of options.')
    for path, low in COUNTS.items():
        value = _at(options, path)
        if value is not None and (isinstance(value, bool)
                                  or not isinstance(value, int)
                                  or value < low):
            raise UserError(f'{path} is a whole number from {low}, got '
                            f'{value!r}.')
    unknown = [key for key in cfg.get('randomness') or {}
               if key not in options_of(Runner.set_randomness)]
    if unknown:
        raise UserError(unknown_option(
            'randomness', unknown[0], Runner.set_randomness))
    level = cfg.get('log_level', 'INFO')
    if str(logging.getLevelName(level)).startswith('Level '):  # unknown
        raise UserError(f'log_level is one of INFO, WARNING and the like, '
                        f'got {level!r}.')
    if {'type', 'by_epoch'} <= (options.get('train_cfg') or {}).keys():
        raise UserError('train_cfg has both type and by_epoch, which say the '
                        'same; leave one of them out.')
    for key in _at(options, 'optim_wrapper.clip_grad') or {}:
        if key not in ('type', *options_of(clip_grad_norm_)):
            raise UserError(unknown_option(
                'optim_wrapper.clip_grad', key, clip_grad_norm_))
    methods = multiprocessing.get_all_start_methods()
    start = _at(options, 'env_cfg.mp_cfg.mp_start_method')
    if start not in (None, *methods):
        raise UserError('env_cfg.mp_cfg.mp_start_method is one of '
                        f'{", ".join(methods)}, got {start!r}.')
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmengine')):
        for path, registry in NAMED:
            wanted = (_at(options, path) or {}).get('type')
            if isinstance(wanted, str):
                with registry.switch_scope_and_registry(None) as found:
                    if found.get(wanted) is None:
                        raise UserError(unknown_name(wanted, found))
        for number, one in enumerate(_schedulers(options)):
            with PARAM_SCHEDULERS.switch_scope_and_registry(None) as found:
                check_scheduler(one, f'param_scheduler.{number}', found)
    check_options(options.get('model') or {})


def _schedulers(options: dict) -> list:
    found = options.get('param_scheduler') or []
    return [found] if isinstance(found, dict) else found


def check_scheduler(options: dict, name: str, registry: Registry) -> None:
    """Stop at a schedule that mmengine could not build.

    One shorter than an iteration is dropped later, and never looked at.
    """
    made = registry.get(options['type'])
    if made is None:
        raise UserError(unknown_name(options['type'], registry))
    known = [*options_of(made), 'type', '_scope_', 'convert_to_iter_based',
             'epoch_length']
    for option in options:
        if option not in known:
            raise UserError(unknown_option(options['type'], option, made))
    begin, end = options.get('begin', 0), options.get('end')
    if end is not None and not 0 <= begin < end:
        raise UserError(f'{name} lasts from {begin} to {end}; let it end '
                        'after it begins.')


def check_options(model: Any) -> None:
    """Reject options that this package's classes do not have."""
    for part in _parts(model):
        scope, _, name = str(part['type']).rpartition('.')
        made = MODELS.module_dict.get(name) if scope == 'sbam_mm' else None
        known = list(options_of(made)) if made else []
        for option in part:
            if known and option not in (*known, 'type', '_scope_'):
                raise UserError(unknown_option(name, option, made))


def _parts(value: Any) -> Iterator[dict]:
    """Every part of a config that has a type."""
    if isinstance(value, dict):
        if 'type' in value:
            yield value
        for inner in value.values():
            yield from _parts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _parts(inner)


def _at(cfg: Any, path: str) -> Any:
    """A value by dotted name, None where there is none."""
    for key in path.split('.'):
        if not isinstance(cfg, dict):
            return None
        cfg = cfg.get(key)
    return cfg
