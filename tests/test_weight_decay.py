# Copyright (c) OpenMMLab. All rights reserved.
"""Which parameters every config pulls towards 0, by official code."""
from pathlib import Path

import dense_configs
import pytest
import tiny_configs
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from sbam_mm.config_files import read_config
from sbam_mm.models import MaskedBEiT
from sbam_mm.registry import MODELS

CONFIGS = Path(__file__).parents[1] / 'configs'
NAMES = [
    path.relative_to(CONFIGS).as_posix()
    for path in sorted(CONFIGS.rglob('*.py'))
    if not {'_base_', 'studies'} & set(path.relative_to(CONFIGS).parts)
]
DENSE = [name for name in NAMES if name.split('/')[0] in ('mmseg', 'mmdet')]
OTHERS = [name for name in NAMES if name not in DENSE]
pytestmark = pytest.mark.unit

# No weights of a layer, by the last part of their names.
SPECIAL = ('cls_token', 'dist_token', 'mask_token', 'pos_embed', 'u_pos',
           'u_neg', 'relative_position_bias_table')
# What official code does decay of them, though it is none.
TIMM = {'cls_token', 'mask_token'}  # timm's add_weight_decay: vectors only
DINOS = {'cls_token', 'mask_token', 'pos_embed'}  # get_params_groups: same
BEITS = {'mask_token'}  # BEiT's no_weight_decay(): cls_token, pos_embed
DECAYED = {
    'sbam_mm.MAE': TIMM,
    'sbam_mm.HPM': TIMM,
    'sbam_mm.GPAFeature': TIMM,
    'sbam_mm.DistilMAE': TIMM,
    'sbam_mm.ConvMAE': TIMM,
    'sbam_mm.DINO': DINOS,
    'sbam_mm.iBOT': DINOS,
    'sbam_mm.DistilDINO': DINOS,
    'sbam_mm.MILAN': TIMM,  # written on MAE's code, as the next one
    'sbam_mm.UMMAE': TIMM,
    'sbam_mm.IJEPA': TIMM,  # all but vectors, as data2vec 2.0's
    'sbam_mm.Data2Vec2': TIMM,
    'sbam_mm.BEiT': BEITS,
    'sbam_mm.BootMAE': BEITS,
    'sbam_mm.CAE': BEITS,
}


def decays(model, optim_wrapper):
    """Weight decay of every parameter that is trained, by name."""
    options = dict(optim_wrapper, type='OptimWrapper')
    for key in ('dtype', 'loss_scale', 'accumulative_counts'):
        options.pop(key, None)
    wrapper = build_optim_wrapper(model, options)
    names = {id(value): name for name, value in model.named_parameters()}
    default = wrapper.optimizer.defaults['weight_decay']
    found = {
        names[id(value)]: group.get('weight_decay', default)
        for group in wrapper.optimizer.param_groups
        for value in group['params']
    }
    assert set(found) == {
        name for name, value in model.named_parameters()
        if value.requires_grad
    }
    return found


def check(model, found, decayed=(), biases=False):
    """Whether exactly what should be decayed is."""
    for name, value in model.named_parameters():
        if name not in found:
            continue
        last = name.rpartition('.')[2]
        spared = (last in SPECIAL and last not in decayed
                  or value.dim() <= 1 or last == 'bias')
        if biases and last == 'bias' and 'ln' not in name:
            spared = False
        assert (found[name] == 0) == spared, name


@pytest.mark.parametrize('name', OTHERS)
def test_of_all_configs(name, tmp_path):
    cfg = read_config(CONFIGS / name)
    model, *_ = tiny_configs.tiny(cfg, tmp_path)
    check(model, decays(model, cfg.optim_wrapper),
          DECAYED.get(cfg.model.type, ()))


@pytest.mark.parametrize('name', DENSE)
def test_of_dense_configs(name):
    """Of the backbone, which needs neither mmseg nor mmdet.

    detectron2's ViTDet decays biases, all but those of norms, and tables of
    relative positions; BEiT's UperNet decays the latter's table in every
    block.
    """
    cfg = read_config(CONFIGS / name)
    cfg.model.backbone.update(
        arch=dense_configs.ARCH, img_size=32, patch_size=8, init_cfg=None)
    if 'out_indices' in cfg.model.backbone:
        cfg.model.backbone.out_indices = [0, 1, 2, 3]
    model = nn.ModuleDict(
        dict(backbone=MODELS.build(cfg.model.backbone),
             head=nn.Linear(2, 2)))
    model.backbone = model['backbone']
    check(model, decays(model, cfg.optim_wrapper),
          {'relative_position_bias_table'}, biases=name.startswith('mmdet'))


def wrapper(**options):
    return dict(
        optimizer=dict(type='AdamW', lr=1e-3, weight_decay=.05),
        constructor='sbam_mm.WeightDecayOptimWrapperConstructor', **options)


def beit():
    return MaskedBEiT(tiny_configs.ARCH, **tiny_configs.SIZE)


@pytest.mark.parametrize('paramwise', [
    None, dict(norm_decay_mult=0., bias_decay_mult=0.), dict(bias_lr_mult=1.)])
def test_without_other_options(paramwise):
    found = decays(beit(), wrapper(paramwise_cfg=paramwise))
    assert found['cls_token'] == .05  # an encoder alone names no token
    assert found['layers.0.attn.qkv.weight'] == .05
    for name in ('layers.0.gamma_1', 'layers.0.attn.v_bias', 'ln1.weight',
                 'rel_pos_bias.relative_position_bias_table'):
        assert found[name] == 0., name


def test_custom_keys_go_before():
    found = decays(beit(), wrapper(paramwise_cfg=dict(
        custom_keys={'gamma_1': dict(decay_mult=2.)})))
    assert found['layers.0.gamma_1'] == pytest.approx(.1)
    assert found['layers.0.gamma_2'] == 0.


def test_caes_forty_eight_vectors():
    """Layer scale and biases of queries and values, in the paper's ViT-S."""
    cfg = Config.fromfile(CONFIGS / 'cae/cae_vits_300e.py')
    cfg.model.backbone.arch = dict(
        embed_dims=24, num_layers=12, num_heads=3, feedforward_channels=48)
    cfg.model.neck.update(embed_dims=24, num_heads=3, out_dims=768)
    cfg.model.head = dict(type='sbam_mm.PixelHead', patch_size=16)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    found = decays(model, cfg.optim_wrapper)
    vectors = [
        name for name, value in model.named_parameters()
        if value.dim() == 1 and 'bias' not in name.rpartition('.')[2]
        and 'ln' not in name and 'norm' not in name
        or name.endswith(('q_bias', 'v_bias'))
    ]
    assert len(vectors) == 48
    assert all(found[name] == 0. for name in vectors)
