# Copyright (c) OpenMMLab. All rights reserved.
"""Layers compiled by a config: the same training, compiled once for all
lengths."""
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine._strategy import FSDPStrategy
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image
from torch import nn
from torch._dynamo.utils import counters

from sbam_mm.engine.hooks import CompileLayersHook
from sbam_mm.engine.hooks.compile_layers import check_compiler
from sbam_mm.run_switches import exact

ROOT = Path(__file__).parents[2]
STEPS = 6
pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    generator = np.random.default_rng(0)
    (root / 'train').mkdir()
    for i in range(4 * STEPS):
        pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        pixels[:, :8 * (i % 4)] = 128
        Image.fromarray(pixels).save(root / 'train' / f'{i:02}.png')
    return root


class Notes(Hook):
    """Every step's outputs, and how many graphs there were by then."""

    def __init__(self):
        self.steps, self.graphs = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        self.steps.append({k: float(v) for k, v in outputs.items()})
        self.graphs.append(counters['stats']['unique_graphs'])


def train(images, folder, hooks=(), with_cp=False):
    cfg = Config.fromfile(ROOT / 'configs/small/sbam_small.py')
    cfg.merge_from_dict({
        'model.backbone.arch.num_layers': 2,
        'model.backbone.with_cp': with_cp,
        'model.neck.with_cp': with_cp,
        'train_dataloader.dataset.data_root': str(images),
        'train_dataloader.batch_size': 4,
        'train_dataloader.num_workers': 0,
        'train_cfg.max_epochs': 1,
        'default_hooks.checkpoint': None,
        'log_level': 'WARNING',
        'work_dir': str(folder),
        'experiment_name': folder.name,
    })
    # AdamW makes steps of rounding errors where a gradient should be 0.
    cfg.optim_wrapper = dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    cfg.custom_hooks = [*cfg.custom_hooks[:-1], *hooks]
    notes = Notes()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(notes)
    runner.train()
    return runner.model.state_dict(), notes


@pytest.fixture(scope='module')
def plain(images, tmp_path_factory):
    return train(images, tmp_path_factory.mktemp('plain'))


def can_compile():
    try:
        check_compiler()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize('options, with_cp', [
    (dict(backend='aot_eager'), False), (dict(backend='aot_eager'), True),
    pytest.param(
        dict(), False,
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(
                not can_compile(), reason='there is no compiler')
        ])])
def test_trains_as_without(options, with_cp, images, plain, tmp_path):
    hook = dict(type='sbam_mm.CompileLayersHook', **options)
    weights, notes = train(images, tmp_path, [hook], with_cp)
    for got, want in zip(notes.steps, plain[1].steps):
        assert got == pytest.approx(want, rel=1e-4)
    assert list(weights) == list(plain[0])
    for name, want in plain[0].items():
        torch.testing.assert_close(
            weights[name], want, rtol=1e-3, atol=1e-4, msg=name)
    lengths = {step['visible_tokens'] for step in notes.steps}
    assert len(notes.steps) == STEPS and len(lengths) >= 4
    # The feed-forward networks of encoder and decoder, each in one piece.
    assert notes.graphs == [2] * STEPS and not counters['graph_break']


def runner_of(model, strategy=None):
    said = []
    return SimpleNamespace(
        model=model, strategy=strategy, said=said,
        logger=SimpleNamespace(info=said.append))


def test_exact_leaves_layers_alone(tiny_mae):
    runner = runner_of(tiny_mae())
    with exact():
        CompileLayersHook().before_train(runner)
    assert 'not compiled' in runner.said[0]
    assert all(m._compiled_call_impl is None for m in runner.model.modules())


def test_what_cannot_be_compiled_gets_a_sentence(tiny_mae, monkeypatch):
    hook = CompileLayersHook(backend='eager')
    with pytest.raises(ValueError, match='with FSDP they do not'):
        hook.before_train(
            runner_of(tiny_mae(), FSDPStrategy.__new__(FSDPStrategy)))
    with pytest.raises(ValueError, match='remove the hook'):
        hook.before_train(runner_of(nn.Linear(2, 2)))
    monkeypatch.setenv('PATH', '')
    monkeypatch.delenv('CC', raising=False)
    monkeypatch.delenv('CXX', raising=False)
    with pytest.raises(ValueError, match='no compiler was found'):
        CompileLayersHook().before_train(runner_of(tiny_mae()))
