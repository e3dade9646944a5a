# Copyright (c) OpenMMLab. All rights reserved.
"""``tools/train.py CONFIG --masker NAME``: any recipe with another masker."""
import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from sbam_mm.errors import UserError
from sbam_mm.masking.named_maskers import (
    OWN_RATIO,
    at_ratio,
    default_of,
    masker_config,
    masker_name,
)
from sbam_mm.models.providers import STORED_MAPS
from sbam_mm.models.teachers import teacher_config
from sbam_mm.registry import MODELS

from .trial_build import build_without_weights, pipeline_of, quiet

# Of these the ratio belongs to the method, of OWN_RATIO to the shape.
OF_THE_METHOD = ('AMT', 'RandomThrow')
# Epochs between two collections of attention maps (AMT), or a quarter of a
# shorter training.
MAP_INTERVAL = 40


def replace_masker(cfg: Config,
                   name: str,
                   options: Mapping[str, Any] | None = None,
                   teacher: str | None = None) -> None:
    """Put a named masker, and what it needs, into the config of a training.

    It hides as much as the config's own masker: at its ratio, in its cells,
    on as many of the views. A teacher, stored maps or a model that predicts
    losses are added where the masker needs them.

    Args:
        name (str): See :func:`sbam_mm.masking.named_maskers.masker_names`.
        options (Mapping, optional): Of the masker, by dotted name.
        teacher (str, optional): Used in place of a moving average, see
            :func:`sbam_mm.models.teachers.teacher_config`.

    Example::

        cfg = read_config('configs/small/mae_small.py')
        replace_masker(cfg, 'amt', dict(throw=0.3))
    """
    owner = masker_owner(cfg)
    masker = match_own_masker(owner['masker'], masker_config(name))
    changed = Config(dict(masker=masker))
    inner = 'masker.masker' if 'masker' in masker else 'masker'
    changed.merge_from_dict(
        {f'{inner}.{key}': value for key, value in (options or {}).items()})
    with DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmengine')), quiet():
        model = build_without_weights(cfg)
        needs = MODELS.build(changed.masker.to_dict()).needs
    given: frozenset[str] = getattr(model, 'provides', frozenset())
    owner['masker'] = changed.masker
    for key in sorted(needs & STORED_MAPS.keys() & given):
        load_maps(cfg, key, tuple(model.backbone.patch_resolution))
    if teacher and 'teacher_attention' not in needs:
        raise UserError(f'the masker {name!r} asks no teacher; leave out '
                        '--teacher.')
    if teacher:
        cfg.model.teacher = teacher_config(teacher, cfg.model.backbone)
    elif 'teacher_attention' in needs and not cfg.model.get('teacher'):
        if masker_name(name) == 'gpa':
            raise UserError(
                "GPA asks a trained encoder; name one's checkpoint with "
                '--teacher, or set source=self for the attention of the '
                'model itself.')
        if 'teacher_attention' not in given:
            cfg.model.teacher = dict(type='sbam_mm.MomentumTeacher',
                                     momentum=0.996, end_momentum=1.)
    if 'predicted_loss' in needs and cfg.model.type == 'sbam_mm.MAE':
        cfg.model.type = 'sbam_mm.HPM'


def masker_owner(cfg: Config) -> Any:
    """The part of a config that holds the masker."""
    model = cfg.get('model') or {}
    for part in (model, model.get('backbone') or {}):
        masker = part.get('masker')
        if masker:
            # Around it, what leaves some views whole.
            return masker if masker.get('masker') else part
    raise UserError('the config has no model.masker to replace; use one '
                    'whose masker is a part of it.')


def match_own_masker(own: Mapping, named: dict) -> dict:
    """A named masker that hides as much as a config's own.

    Example:
        >>> own = dict(type='sbam_mm.RandomMasker', ratio=.6, cell=2)
        >>> match_own_masker(own, dict(type='sbam_mm.SBM'))
        {'type': 'sbam_mm.SBM', 'ratio': 0.6, 'cell': 2}
    """
    before, kind = MODELS.get(own['type']), MODELS.get(named['type'])
    ratio = own.get('ratio', default_of(before, 'ratio'))
    if isinstance(ratio, Mapping):
        ratio = ratio.get('ratio', default_of(MODELS.get(ratio['type']),
                                              'ratio'))
    probability = own.get('probability', default_of(before, 'probability'))
    masker = dict(named)
    varies = default_of(kind, 'probability') is not None
    own_ratio = kind.__name__ in OF_THE_METHOD + OWN_RATIO
    if not own_ratio and ratio is not None:
        if varies:
            masker['ratio'] = ratio
        else:
            middle = ratio if isinstance(ratio, float) else sum(ratio) / 2
            masker = at_ratio(masker, middle)
    if own.get('cell', 1) != 1 and default_of(kind, 'cell') is not None:
        masker['cell'] = own['cell']
    if probability is None:
        return masker
    if varies:
        return dict(masker, probability=probability)
    return dict(type='sbam_mm.MaskSomeViews', probability=probability,
                masker=masker)


def load_maps(cfg: Config, key: str, grid: tuple[int, int]) -> None:
    """Make the training's pipeline load a map with every image."""
    # In a list, mmengine takes a dict as it is.
    loader = ConfigDict(type=f'sbam_mm.{STORED_MAPS[key]}', grid=grid)
    if key == 'attention_map':
        epochs = cfg.train_cfg.get('max_epochs', 4 * MAP_INTERVAL)
        interval = max(1, min(MAP_INTERVAL, epochs // 4))
        cfg.custom_hooks = [
            ConfigDict(type='sbam_mm.AttentionMapHook', interval=interval),
            *(cfg.get('custom_hooks') or [])
        ]
    else:
        loader['path'] = os.environ.get('PART_MAPS', 'data/part_maps.npy')
    steps = pipeline_of(cfg.train_dataloader.dataset)
    for step in steps:
        # The crop that says where it was made, so that the map can follow.
        if step['type'] == 'RandomResizedCrop':
            step['type'] = 'sbam_mm.RandomResizedCrop'
    steps[-1]['algorithm_keys'] = [*steps[-1].get('algorithm_keys', ()), key]
    steps.insert(-1, loader)
    if 'train_pipeline' in cfg:  # what a reader of the dumped config sees
        cfg.train_pipeline = steps
