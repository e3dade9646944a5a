# Copyright (c) OpenMMLab. All rights reserved.
"""A backbone takes every weight of a checkpoint or says why not."""
import pytest
import torch
from torch.nn.functional import interpolate

from sbam_mm.downstream import DenseViT, RelativeViT, ViTDet, load_encoder
from sbam_mm.models import MaskedViT
from sbam_mm.models.checkpoint_formats import from_ours

pytestmark = pytest.mark.unit
ARCH = dict(
    embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=48)
SIZE = dict(img_size=32, patch_size=8)
BACKBONES = {
    'DenseViT': lambda **kw: DenseViT(ARCH, out_indices=[3], **kw),
    'RelativeViT': lambda **kw: RelativeViT(ARCH, out_indices=[3], **kw),
    'ViTDet': lambda **kw: ViTDet(ARCH, window_size=2, **kw),
}
NEW = ('relative_position', 'gamma_', 'rel_pos_')


@pytest.fixture
def state():
    torch.manual_seed(0)
    vit = MaskedViT(ARCH, **SIZE)
    vit.init_weights()
    return {f'backbone.{k}': v for k, v in vit.state_dict().items()}


def save(state, folder):
    path = folder / 'encoder.pth'
    torch.save(state, path)
    return path


@pytest.mark.parametrize('name', BACKBONES)
@pytest.mark.parametrize('form', ['ours', 'mae', 'timm', 'hf', 'wrapped'])
def test_every_weight_comes_from_the_file(name, form, state, tmp_path):
    checkpoint = dict(state_dict=state)
    if form == 'wrapped':
        checkpoint = dict(
            model={f'module.{k}': v for k, v in state.items()})
    elif form != 'ours':
        checkpoint = dict(model=from_ours(state, form, 'encoder').state)
    backbone = BACKBONES[name](**SIZE)
    backbone.init_weights()
    load_encoder(backbone, save(checkpoint, tmp_path), backbone.begins_anew)
    for key, value in backbone.state_dict().items():
        if any(word in key for word in NEW):
            continue
        wanted = state[f'backbone.{key}']
        if key == 'pos_embed' and name == 'ViTDet':
            wanted = wanted[:, 1:]
        assert torch.equal(value, wanted), key


@pytest.mark.parametrize('name', BACKBONES)
def test_positions_are_resized_to_larger_images(name, state, tmp_path):
    table = torch.randn(1, 17, 24)
    state['backbone.pos_embed'] = table
    backbone = BACKBONES[name](img_size=64, patch_size=8)
    backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(save(state, tmp_path)))
    backbone.init_weights()
    wanted = interpolate(
        table[:, 1:].transpose(1, 2).unflatten(2, (4, 4)),
        size=(8, 8),
        mode='bicubic')
    resized = backbone.pos_embed[:, -64:].transpose(1, 2).unflatten(2, (8, 8))
    assert torch.allclose(resized, wanted, atol=1e-5)
    if name != 'ViTDet':
        assert torch.equal(backbone.pos_embed[:, 0], table[:, 0])


def test_of_self_distillation_the_teacher_is_taken(state, tmp_path):
    teacher = {f'momentum_teacher.module.{k}': v + 1
               for k, v in state.items()}
    backbone = BACKBONES['DenseViT'](**SIZE)
    load_encoder(backbone, save({**state, **teacher}, tmp_path))
    key = 'layers.2.attn.qkv.weight'
    assert torch.equal(backbone.state_dict()[key],
                       state[f'backbone.{key}'] + 1)


def without(state, word):
    return {k: v for k, v in state.items() if word not in k}


BROKEN = {
    'no encoder': lambda s: {'neck.weight': torch.ones(2)},
    'decoder alone': lambda s: {
        f'neck.decoder_blocks.0.{k}': torch.ones(2)
        for k in ('ln1.weight', 'ln1.bias')},
    'a block': lambda s: without(s, 'layers.3.'),
    'one key': lambda s: without(s, 'layers.1.attn.qkv.bias'),
    'positions': lambda s: without(s, 'pos_embed'),
    'leftover': lambda s: {**s, 'backbone.adapter.weight': torch.ones(2)},
    'width': lambda s: {k: torch.cat([v, v], -1) for k, v in s.items()},
}  # yapf: disable


@pytest.mark.parametrize('broken', BROKEN)
@pytest.mark.parametrize('name', BACKBONES)
def test_what_does_not_fit_is_refused_whole(name, broken, state, tmp_path):
    backbone = BACKBONES[name](**SIZE)
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    path = save(BROKEN[broken](state), tmp_path)
    with pytest.raises(ValueError) as error:
        load_encoder(backbone, path, backbone.begins_anew)
    message = str(error.value)
    assert str(path) in message and '\n' not in message
    assert message.count('. ') == 0
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize('cfg, words', [
    (dict(checkpoint=''), 'CHECKPOINT'),
    (dict(checkpoint='missing.pth'), 'does not exist'),
    (dict(checkpoint='x.pth', prefix='backbone.'), 'prefix'),
])
def test_no_checkpoint_is_said(cfg, words):
    backbone = BACKBONES['DenseViT'](**SIZE)
    backbone.init_cfg = dict(type='Pretrained', **cfg)
    with pytest.raises(ValueError, match=words):
        backbone.init_weights()
