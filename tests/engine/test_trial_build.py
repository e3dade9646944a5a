# Copyright (c) OpenMMLab. All rights reserved.
"""A training is built once before a study starts, at next to no cost."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from small_runs import small

from sbam_mm.engine.trial_build import build_without_weights, check_buildable
from sbam_mm.registry import MODELS
from sbam_mm.studies import Study

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.unit


def config(name, **options):
    cfg = (small(name) if '_small' in name else Config.fromfile(
        ROOT / f'configs/{name}.py'))
    cfg.merge_from_dict({
        key.replace('__', '.'): value for key, value in options.items()})
    return cfg


def test_the_largest_takes_no_memory():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = build_without_weights(config('sbam_mae_vitl_800e'))
    assert {p.device.type for p in model.parameters()} == {'meta'}
    assert model.data_preprocessor.mean.numel() == 3


def test_a_frozen_teacher_is_read(tmp_path, monkeypatch):
    cfg = config('mae_small')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        state = MODELS.build(cfg.model).state_dict()
    path = tmp_path / 'teacher.pth'
    torch.save(state, path)
    monkeypatch.setenv('TEACHER', str(path))
    cfg = small('mae_small gpa block=3 head=2')
    check_buildable(cfg)
    cfg.dump(tmp_path / 'gpa.py')
    Study(config=str(tmp_path / 'gpa.py'), seeds=[0],
          axes=dict(masker=['gpa', 'random'], ratio=[.6]))
    torch.save({k: v for k, v in state.items() if 'layers.0' in k}, path)
    with pytest.raises(ValueError, match='fewer than'):
        check_buildable(cfg)


@pytest.mark.parametrize('name, options, words', [
    ('mae_small', dict(model__masker=dict(
        type='sbam_mm.AMT', ratio=.45)),
     "AMT asks for 'attention_map'.*LoadAttentionMap"),
    ('mae_small', dict(model__masker=dict(type='sbam_mm.SemMAEMasker')),
     "'part_map'.*LoadPartMap"),
    ('mae_small', dict(model__backbone__segment_bias=dict()),
     "segment bias asks for 'segment_map'"),
    ('mae_small', dict(model__masker=dict(type='sbam_mm.HPMMasker')),
     "HPMMasker needs 'predicted_loss'"),
    ('mae_small semmae', {}, 'there is no map file'),
    ('drop_in/mmpretrain_mae_vitb_sbam',
     dict(model__backbone__masker=dict(
         _delete_=True, type='sbam_mm.AttMask')), 'AttMask'),
])
def test_what_cannot_be_built(name, options, words):
    with pytest.raises(ValueError, match=words):
        check_buildable(config(name, **options))
