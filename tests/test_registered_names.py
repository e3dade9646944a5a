# Copyright (c) OpenMMLab. All rights reserved.
"""Pure-Python configs are read as if they had been written with names."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from sbam_mm.config_files import read_config
from sbam_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.unit
OWN = """
import os

import mmengine.hooks
import torch
from his_parts import Mine
from mmcv.transforms import CenterCrop
from mmpretrain.engine import EMAHook

default_scope = 'mmpretrain'
root = '{{$DATA_ROOT:data/cifar10}}/train'
pipeline = [dict(type=CenterCrop, crop_size=4)]
custom_hooks = [dict(type=EMAHook), dict(type=mmengine.hooks.EMAHook)]
optimizer = dict(type=torch.optim.AdamW, lr=float(os.environ['LR']))
masker = dict(type=Mine, ratio=0.5)
"""


@pytest.mark.parametrize('data', ['/some/images', 'data/cifar10'])
def test_the_example_equals_the_config_with_names(monkeypatch, data):
    monkeypatch.delenv('DATA_ROOT', raising=False)
    if data != 'data/cifar10':  # the default
        monkeypatch.setenv('DATA_ROOT', data)
    named, classes = (read_config(ROOT / f'configs/small/{name}.py')
                      for name in ('sbam_small', 'sbam_classes_small'))
    assert classes.to_dict() == named.to_dict()
    assert classes.env_variables == named.env_variables == dict(DATA_ROOT=data)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Of somebody with parts of his own."""
    (tmp_path / 'his_parts.py').write_text(
        'from sbam_mm.masking import RandomMasker\n'
        'from sbam_mm.registry import MODELS\n\n'
        '@MODELS.register_module()\n'
        'class Mine(RandomMasker):\n    "His masker."\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('LR', '0.5')
    monkeypatch.delenv('DATA_ROOT', raising=False)
    (tmp_path / 'own.py').write_text(OWN)
    yield read_config(tmp_path / 'own.py')
    MODELS.module_dict.pop('Mine', None)


def test_names_find_the_same_classes(config):
    assert config.pipeline == [dict(type='CenterCrop', crop_size=4)]
    # Two have this one.
    assert config.custom_hooks == [dict(type='mmpretrain.EMAHook'),
                                   dict(type='mmengine.EMAHook')]
    assert config.optimizer == dict(type='AdamW', lr=0.5)
    assert config.root == 'data/cifar10/train'
    # No registry has it before its module is imported.
    assert config.masker.type == 'his_parts.Mine'
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        assert type(MODELS.build(config.masker)).__name__ == 'Mine'


def test_what_a_run_dumps_is_the_same(config, tmp_path):
    assert 'os' not in config
    config.dump(tmp_path / 'dumped.py')
    dumped = read_config(tmp_path / 'dumped.py')
    assert dumped.to_dict() == config.to_dict()


def test_mmengine_itself_builds_the_example():
    """For tools of others, which know nothing of read_config."""
    cfg = Config.fromfile(ROOT / 'configs/small/sbam_classes_small.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    model.init_weights()
    loss, _ = model.parse_losses(model.loss(torch.rand(2, 3, 32, 32)))
    loss.backward()
    assert loss.isfinite()
