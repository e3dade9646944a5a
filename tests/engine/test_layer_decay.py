# Copyright (c) OpenMMLab. All rights reserved.
"""Every parameter's learning rate is the formula's."""
import re

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.models import VGG
from mmpretrain.registry import MODELS
from torch import nn

from sbam_mm.engine.optim import layer_depths

pytestmark = pytest.mark.unit
LR, DECAY, BLOCKS = 0.01, 0.7, 3
ARCH = dict(embed_dims=24, num_layers=BLOCKS, num_heads=3,
            feedforward_channels=48)


def wrapper(model, scope='mmpretrain', **paramwise):
    cfg = dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=LR, weight_decay=0.05),
        constructor='sbam_mm.ViTLayerDecayOptimWrapperConstructor',
        paramwise_cfg={'layer_decay_rate': DECAY, **paramwise})
    with DefaultScope.overwrite_default_scope(scope):
        return build_optim_wrapper(model, cfg)


def by_name(model, optimizer):
    """Learning rate and weight decay of each parameter."""
    names = {id(value): key for key, value in model.named_parameters()}
    found = [(names[id(p)], group['lr'], group['weight_decay'])
             for group in optimizer.param_groups for p in group['params']]
    assert len(found) == len({name for name, _, _ in found})
    return {name: (lr, decay) for name, lr, decay in found}


def classifier(**backbone):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(
                    dict(
                        type='VisionTransformer',
                        arch=ARCH,
                        img_size=32,
                        patch_size=8,
                        out_type='avg_featmap',
                        final_norm=False), **backbone),
                head=dict(
                    type='LinearClsHead', num_classes=5, in_channels=24)))


def expected(name):
    """The formula, written a second time and from the names alone."""
    block = re.match(r'(?:backbone\.)?(?:layers|blocks)\.(\d+)\.', name)
    if block:
        return LR * DECAY**(BLOCKS - int(block[1]))
    stem = re.match(r'(?:backbone\.)?(?:cls_token|pos_embed|patch_embed\.)',
                    name)
    return LR * DECAY**(BLOCKS + 1) if stem else LR


@pytest.mark.parametrize('whole', [True, False], ids=['model', 'backbone'])
def test_every_rate_of_a_classifier(whole):
    model = classifier() if whole else classifier().backbone
    found = by_name(model, wrapper(model, flat_decay_mult=0.).optimizer)
    assert set(found) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        lr, decay = found[name]
        assert lr == pytest.approx(expected(name), rel=1e-12), name
        assert decay == (0. if parameter.ndim == 1 else 0.05), name
    prefix = 'backbone.' if whole else ''
    assert found[f'{prefix}pos_embed'][0] == pytest.approx(LR * DECAY**4)
    assert found[f'{prefix}layers.2.ln1.weight'][0] == pytest.approx(
        LR * DECAY)
    assert found[f'{prefix}ln2.weight'][0] == LR


def test_same_rates_as_mmpretrains_own():
    model = classifier()
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        theirs = build_optim_wrapper(
            model,
            dict(
                optimizer=dict(type='AdamW', lr=LR, weight_decay=0.05),
                constructor='LearningRateDecayOptimWrapperConstructor',
                paramwise_cfg=dict(
                    layer_decay_rate=DECAY, flat_decay_mult=0.)))
    ours = by_name(model, wrapper(model, flat_decay_mult=0.).optimizer)
    for name, values in by_name(model, theirs.optimizer).items():
        assert ours[name] == pytest.approx(values), name


class Segmentor(BaseModule):
    """As mmseg and mmdet name things: blocks, a neck, a head of blocks."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.pos_embed = nn.Parameter(torch.zeros(1, 4, 8))
        self.backbone.blocks = nn.ModuleList(
            nn.Linear(8, 8) for _ in range(BLOCKS))
        self.backbone.fpn1 = nn.Linear(8, 8)
        self.decode_head = nn.Module()
        self.decode_head.layers = nn.ModuleList([nn.Linear(8, 8)])


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmengine'])
def test_blocks_of_a_head_are_not_the_backbones(scope):
    model = Segmentor()
    found = by_name(model, wrapper(model, scope).optimizer)
    for name in found:
        assert found[name][0] == pytest.approx(expected(name)), name
    assert found['decode_head.layers.0.weight'][0] == LR


def test_frozen_parameters_are_in_no_group_and_groups_are_few():
    model = classifier(frozen_stages=2)
    optimizer = wrapper(model, flat_decay_mult=0.).optimizer
    found = by_name(model, optimizer)
    assert set(found) == {
        name for name, p in model.named_parameters() if p.requires_grad}
    assert found['backbone.layers.2.ln1.weight'][0] == pytest.approx(
        LR * DECAY)
    assert len(optimizer.param_groups) == 4  # block and top, with decay or no


def test_first_step_follows_the_rate():
    """AdamW's first step is the learning rate, whatever the gradient."""
    model = classifier()
    model.init_weights()
    before = {k: v.detach().clone() for k, v in model.named_parameters()}
    optimizer = wrapper(model, flat_decay_mult=0.).optimizer
    logits = model.head(model.backbone(torch.randn(4, 3, 32, 32)))
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    for name in ('backbone.layers.0.ffn.layers.0.0.weight',
                 'backbone.layers.2.ffn.layers.0.0.weight'):
        after = dict(model.named_parameters())[name].detach()
        step = (after - before[name]).abs()
        assert step.median().item() == pytest.approx(expected(name), rel=1e-2)


def test_other_multipliers_are_kept():
    model = classifier()
    found = by_name(model, wrapper(model, custom_keys={
        'head': dict(lr_mult=10., decay_mult=0.)}).optimizer)
    assert found['head.fc.weight'] == (pytest.approx(10 * LR), 0.)
    assert found['backbone.ln2.weight'] == (pytest.approx(LR), 0.05)


def test_sentences():
    with pytest.raises(ValueError, match='found no parameter called'):
        wrapper(nn.Linear(2, 2))
    with pytest.raises(ValueError, match='VGG, whose'):
        layer_depths(VGG(11))
    model = classifier()
    with pytest.raises(ValueError, match="'num_layers'"):
        wrapper(model, num_layers=12)
    for rate in (None, 0., 1.5):
        with pytest.raises(ValueError, match='layer_decay_rate in'):
            wrapper(model, layer_decay_rate=rate)
