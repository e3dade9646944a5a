# Copyright (c) OpenMMLab. All rights reserved.
"""Weights that are no finite real numbers stop where they enter."""
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from sbam_mm.downstream import DenseViT, load_encoder
from sbam_mm.models import MaskedViT
from sbam_mm.models.checkpoint import load_weights, state_dict_of
from sbam_mm.models.checkpoint_formats import from_ours
from sbam_mm.models.teachers import FrozenTeacher

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
SIZE = dict(img_size=32, patch_size=8)
ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
KEY = 'layers.1.ln1.weight'


def vit():
    torch.manual_seed(0)
    return MaskedViT(ARCH, **SIZE)


def spoilt(value):
    state = vit().state_dict()
    if isinstance(value, float):
        state[KEY][3] = value
    else:
        state[KEY] = state[KEY].to(value)
    return {f'backbone.{key}': part for key, part in state.items()}


LOADERS = dict(
    load_weights=lambda path: load_weights(vit(), path),
    teacher=lambda path: FrozenTeacher(vit(), str(path)),
    evaluation=lambda path: load_encoder(vit(), str(path)),
    downstream=lambda path: load_encoder(
        DenseViT(ARCH, out_indices=(1, ), **SIZE), str(path)),
)


@pytest.mark.parametrize('value', [
    float('nan'), float('inf'), -float('inf'), torch.int64, torch.int8,
    torch.bool, torch.complex64], ids=str)
@pytest.mark.parametrize('loader', LOADERS)
def test_refused_by_name(tmp_path, loader, value):
    torch.save(spoilt(value), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=KEY) as caught:
        LOADERS[loader](tmp_path / 'x.pth')
    assert 'x.pth' in str(caught.value)


@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16,
                                  torch.float64, torch.float8_e5m2], ids=str)
def test_other_floating_points_are_taken(tmp_path, kind):
    torch.save(spoilt(kind), tmp_path / 'x.pth')
    assert load_weights(vit(), tmp_path / 'x.pth').share == 1.


def test_counters_are_integers(tmp_path):
    norm = torch.nn.BatchNorm1d(3)
    torch.save(norm.state_dict(), tmp_path / 'x.pth')
    assert load_weights(torch.nn.BatchNorm1d(3), tmp_path / 'x.pth',
                        1.).matched[-1] == 'num_batches_tracked'


def test_any_name_of_the_model(tmp_path):
    """An integer where the model has a floating-point buffer."""
    norm = torch.nn.BatchNorm1d(3)
    state = dict(norm.state_dict(), running_var=torch.ones(3).int())
    torch.save(state, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='running_var'):
        load_weights(norm, tmp_path / 'x.pth')


def test_of_an_official_file_in_its_own_names():
    with pytest.raises(ValueError, match=r'x.pth.*infinite in norm.weight;'):
        state_dict_of({'norm.weight': torch.tensor([1., float('nan')]),
                       'norm.bias': torch.ones(2)}, 'x.pth')


def runner(model, folder, **options):
    data = [dict(inputs=torch.zeros(3, 32, 32), data_samples=0)] * 2
    loader = dict(
        batch_size=2,
        dataset=data,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'))
    return Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=loader,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        custom_hooks=[dict(type='sbam_mm.CheckpointKeysHook')],
        default_scope='mmpretrain',
        experiment_name=folder.name,
        **options)


@pytest.mark.integration
@pytest.mark.parametrize('resume', [False, True])
def test_runner(tmp_path, tiny_mae, resume):
    model = tiny_mae()
    state = model.state_dict()
    state['backbone.ln1.bias'] = state['backbone.ln1.bias'] * float('nan')
    torch.save(
        dict(state_dict=state, meta=dict(epoch=0, iter=0),
             message_hub=dict(log_scalars={}, runtime_info={},
                              resumed_keys={})), tmp_path / 'x.pth')
    run = runner(model, tmp_path, load_from=str(tmp_path / 'x.pth'),
                 resume=resume)
    with pytest.raises(ValueError, match='backbone.ln1.bias'):
        run.train()


@pytest.mark.integration
def test_a_test_wants_the_head_too(tmp_path):
    """Of a pre-training file the head would be random."""
    from mmpretrain.registry import MODELS
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='VisionTransformer', arch=ARCH, **SIZE),
            head=dict(type='LinearClsHead', num_classes=2, in_channels=24)))
    state = {key: value for key, value in model.state_dict().items()
             if key.startswith('backbone.')}
    torch.save(dict(state_dict=state), tmp_path / 'x.pth')
    loader = dict(
        batch_size=2,
        dataset=[dict(inputs=torch.zeros(3, 32, 32), data_samples=0)] * 2,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'))
    run = Runner(
        model=model,
        work_dir=str(tmp_path),
        test_dataloader=loader,
        test_evaluator=dict(type='Accuracy'),
        test_cfg=dict(),
        custom_hooks=[dict(type='sbam_mm.CheckpointKeysHook')],
        load_from=str(tmp_path / 'x.pth'),
        default_scope='mmpretrain',
        experiment_name=tmp_path.name)
    with pytest.raises(ValueError, match='head.fc.weight'):
        run.test()


@pytest.mark.integration
def test_convert_checkpoint(tmp_path):
    torch.save(spoilt(float('nan')), tmp_path / 'x.pth')
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/convert_checkpoint.py',
         tmp_path / 'x.pth', tmp_path / 'y.pth', '--to', 'timm'],
        capture_output=True, text=True)
    assert done.returncode != 0 and 'Traceback' not in done.stderr
    assert f'backbone.{KEY}' in done.stderr
    assert not (tmp_path / 'y.pth').exists()


# Prefixes


class Lines(logging.Handler):
    """What is logged while it listens."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())

    def __enter__(self):
        MMLogger.get_current_instance().addHandler(self)
        return self

    def __exit__(self, *error):
        MMLogger.get_current_instance().removeHandler(self)


@pytest.mark.parametrize('prefix', ['encoder.', 'visual.', 'model.encoder.',
                                    'module.student.net.'])
@pytest.mark.parametrize('kind', ['ours', 'whole', 'timm'])
def test_a_common_prefix_is_taken_off_and_named(tmp_path, prefix, kind):
    source = vit()
    state = {f'backbone.{k}': v for k, v in source.state_dict().items()}
    if kind == 'ours':
        state = source.state_dict()
    elif kind == 'timm':
        state = from_ours(state, 'timm').state
    path = tmp_path / 'x.ckpt'
    torch.save(dict(state_dict={prefix + k: v for k, v in state.items()}),
               path)
    torch.manual_seed(1)
    target = MaskedViT(ARCH, **SIZE)
    with Lines() as log:
        load_weights(target, path, 1.)
    prefix = prefix.removeprefix('module.')  # a wrapper's
    assert log.lines == [
        f'All keys of {path} begin with "{prefix}", which was taken off.'
    ]
    for key, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[key])
    for loader in ('teacher', 'evaluation', 'downstream'):
        LOADERS[loader](path)


def test_prefix_of_any_model(tmp_path):
    """Also of models in no table of names."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    state = {f'net.{k}': v + 1 for k, v in model.state_dict().items()}
    torch.save(state, tmp_path / 'x.pth')
    with Lines() as log:
        assert load_weights(model, tmp_path / 'x.pth', 1.).share == 1.
    assert torch.equal(model[0].weight, state['net.0.weight'])
    assert 'begin with "net.", which was taken off' in log.lines[0]
