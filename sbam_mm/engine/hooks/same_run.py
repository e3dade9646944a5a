# Copyright (c) OpenMMLab. All rights reserved.
"""A resumed run is the run that was stopped, or says how it differs."""
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sbam_mm.datasets.reading.stored_maps import ImageList
from sbam_mm.errors import UserError
from sbam_mm.registry import HOOKS
from sbam_mm.run_switches import RESUME_ANYWAY
from sbam_mm.safe_loading import load_pickled

KEY = 'sbam_mm_run'
# The parts of a config that decide what is computed.
COMPARED = ('model', 'data_preprocessor', 'train_dataloader', 'optim_wrapper',
            'param_scheduler', 'train_cfg', 'custom_hooks', 'randomness',
            'runner_type', 'strategy', 'auto_scale_lr')
# Hooks that watch: a run is the same with and without them.
WATCHERS = ('KNNHook', 'MaskMetricsHook', 'ProgressBarHook',
            'CheckpointKeysHook', 'InvalidLossHook', 'FetchLogHook',
            'SameRunHook')
# Where things are, and how they are read; not what is computed.
PLACES = ('data_root', 'ann_file', 'img_prefix', 'data_prefix', 'seg_prefix',
          'checkpoint', 'init_cfg', 'folder', 'cache', 'backend_args',
          'pin_memory', 'prefetch_factor', 'max_unreadable', 'with_cp')
SHOWN = 6


@HOOKS.register_module()
class SameRunHook(Hook):
    """Compare a resumed run with the one that wrote its checkpoint.

    Seed, list of images, masker, images per optimizer step and all other
    options of the config that decide what is computed must be equal; paths
    may differ. Checkpoints without optimizer (mmengine's "best" ones) are not
    resumed from. ``tools/train.py`` adds the hook to every run; with
    ``--resume-anyway`` differences are written to the log instead.

    Raises:
        UserError: At the start of a resumed training that differs.
    """

    # After CheckpointKeysHook has said whether the weights fit.
    priority = 'HIGH'

    def __init__(self) -> None:
        self._identity: dict[str, Any] | None = None

    def before_save_checkpoint(self, runner: Runner,
                               checkpoint: dict) -> None:
        """Record the identity of this run."""
        checkpoint['meta'][KEY] = self._now(runner)

    def _now(self, runner: Runner) -> dict[str, Any]:
        if self._identity is None:  # reads all paths, so only once
            self._identity = identity(runner)
        return self._identity

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare, if this run continues from the checkpoint."""
        if not getattr(runner, '_resume', False):
            return
        found = list(differences(runner, checkpoint, self._now))
        if not found:
            return
        more = f' and {len(found) - SHOWN} more' if len(found) > SHOWN else ''
        said = f'{"; ".join(found[:SHOWN])}{more}'
        if RESUME_ANYWAY.is_on():
            runner.logger.warning(
                f'Resumed although this run differs: {said}.')
            return
        raise UserError(
            f'this run is not the one that wrote the checkpoint: {said}; '
            'start it as before, give another --work-dir, or add '
            '--resume-anyway if it is meant.')


def images_per_step(checkpoint: str | Path) -> int | None:
    """Images of a step in all processes, as a checkpoint has recorded it."""
    try:
        content = load_pickled(checkpoint, map_location='cpu',
                               mmap=is_zipfile(checkpoint))
        per_step = content['meta'][KEY]['images_per_step']
        return int(per_step['batch_size']) * int(per_step['processes'])
    except Exception:  # half a file raises whatever it likes
        return None


def identity(runner: Runner) -> dict[str, Any]:
    """What must be equal for a run to be the same, as JSON can hold it."""
    dataset = runner.train_dataloader.dataset
    try:
        image_list = ImageList.of(dataset).fingerprint
    except (KeyError, AttributeError, TypeError, IndexError):
        image_list = None  # of a data set whose images are no files
    content = runner.cfg.to_dict()
    wrapper = content.get('optim_wrapper') or {}
    batch = (content.get('train_dataloader') or {}).get('batch_size', 1)
    return dict(
        images=len(dataset),
        image_list=image_list,
        images_per_step=dict(
            batch_size=batch,
            processes=get_world_size(),
            accumulative_counts=wrapper.get('accumulative_counts', 1)),
        config=json.loads(json.dumps(
            dict(_leaves({key: content[key] for key in COMPARED
                          if key in content})), default=str)))


def differences(
        runner: Runner, checkpoint: Mapping,
        identify: Callable[[Runner], dict] = identity) -> Iterator[str]:
    """How a run differs from its checkpoint, a few words each."""
    lacking = [key for key in ('optimizer', 'message_hub')
               if key not in checkpoint]
    if lacking:
        yield (f'the checkpoint has no {" and no ".join(lacking)}, as the '
               '"best" ones of mmengine and converted ones')
        return
    meta = checkpoint.get('meta') or {}
    now, before = identify(runner), meta.get(KEY)
    # A run without a seed in its config takes that of the checkpoint.
    wanted, seed = runner._randomness_cfg.get('seed'), meta.get('seed')
    if wanted is not None and seed not in (None, wanted):
        yield f'the seed was {seed} and is {wanted}'
    if before is None:  # a checkpoint of mmengine's own tools
        return
    if before['images'] != now['images']:
        yield (f'the training set had {before["images"]} images and has '
               f'{now["images"]}')
    elif before['image_list'] != now['image_list']:
        yield ('the training set has as many images but others, or in '
               'another order')
    if before['images_per_step'] != now['images_per_step']:
        yield (f'an optimizer step took {_product(before)} images and takes '
               f'{_product(now)}')
    yield from _changed(before['config'], now['config'])


def _product(one: Mapping) -> str:
    """Batch x processes x accumulation."""
    return ' x '.join(str(part) for part in one['images_per_step'].values())


def _changed(before: Mapping, now: Mapping) -> Iterator[str]:
    """Options of the config with other values."""
    told = {'randomness.seed', 'train_dataloader.batch_size',
            'optim_wrapper.accumulative_counts'}
    for key in sorted({*before, *now} - told):
        old, new = before.get(key, 'not set'), now.get(key, 'not set')
        if old != new:
            yield f'{key} was {old} and is {new}'


def _leaves(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Options by dotted name, without places and watchers."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in PLACES:
                yield from _leaves(inner, f'{path}.{key}' if path else key)
    elif isinstance(value, (list, tuple)) and any(
            isinstance(one, Mapping) for one in value):
        kept = [one for one in value if not (
            isinstance(one, Mapping)
            and str(one.get('type')).rpartition('.')[2] in WATCHERS)]
        for number, inner in enumerate(kept):
            yield from _leaves(inner, f'{path}.{number}')
    else:
        yield path, list(value) if isinstance(value, tuple) else value
