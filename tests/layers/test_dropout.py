# Copyright (c) OpenMMLab. All rights reserved.
"""Dropout acts on every path through a block."""
import pytest
import torch
from mmpretrain.models.backbones.beit import BEiTTransformerEncoderLayer
from mmpretrain.models.backbones.vision_transformer import (
    TransformerEncoderLayer,
)
from torch import nn

from sbam_mm.downstream.vitdet import WindowBlock
from sbam_mm.layers import (
    Block,
    PackedLayout,
    RecordedAttention,
    beit_layer_cfgs,
    run_blocks,
)
from sbam_mm.models import MaskedBEiT, MaskedViT
from sbam_mm.models.necks import context_regressor, regressor
from sbam_mm.segments import SegmentRelation, Segments

pytestmark = pytest.mark.unit
DIM, HEADS = 8, 2
EQUAL = torch.tensor([[True] * 5, [True] * 5])
UNEQUAL = torch.tensor([[True] * 5, [True, False, True, False, True]])
SIZE = dict(img_size=32, patch_size=8)
ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)


def relation(layout):
    ids = torch.tensor([[0, 1, 1, 2], [1, 2, 2, 1]])
    return SegmentRelation(
        Segments(ids, 5), torch.ones(HEADS), -torch.ones(HEADS), flex=False)


def packed(layer, x, layout):
    return layer(layout.pack(x), None, layout)


def dense(layer, x, layout):
    return run_blocks([layer], layout.pack(x), layout)


def guided(layer, x, layout):
    return run_blocks([layer], layout.pack(x), layout,
                      attend=[relation(layout)])


def recorded(layer, x, layout):
    return run_blocks([layer], layout.pack(x), layout,
                      attend=[RecordedAttention()])


def recomputed(layer, x, layout):
    layer.with_cp = True
    return layer(layout.pack(x), None, layout)


def at_some(layer, x, layout):
    keep = torch.zeros(layout.shape, dtype=torch.bool)
    keep.view(-1)[layout.index] = True
    return layer.at(x, PackedLayout(keep[:, 1:]))


def windowed(layer, x, layout):
    return layer(x, (1, layout.shape[1]))


def whole_map(layer, x, layout):
    return layer(x, (1, layout.shape[1]))


PATHS = [packed, dense, guided, recorded, recomputed, at_some, windowed,
         whole_map]


@pytest.mark.parametrize('rate', ['attn_drop_rate', 'drop_rate'])
@pytest.mark.parametrize('keep', [EQUAL, UNEQUAL], ids=['equal', 'unequal'])
@pytest.mark.parametrize('run', PATHS, ids=lambda run: run.__name__)
def test_of_a_plain_layer(run, keep, rate):
    torch.manual_seed(0)
    layer = TransformerEncoderLayer(DIM, HEADS, 16, **{rate: 0.5})
    layer = (WindowBlock(layer, 2, 2) if run is windowed else
             WindowBlock(layer, 0, 0) if run is whole_map else Block(layer))
    x = torch.randn(2, 5, DIM)
    acts(lambda: run(layer, x, PackedLayout(keep)), layer)


@pytest.mark.parametrize('rate', ['attn_drop_rate', 'drop_rate'])
@pytest.mark.parametrize('keep', [EQUAL, UNEQUAL], ids=['equal', 'unequal'])
def test_of_beit(keep, rate):
    torch.manual_seed(0)
    # mmpretrain loses both on their way to the attention.
    layer = BEiTTransformerEncoderLayer(
        DIM, HEADS, 16, 0.1, (2, 2), False, **beit_layer_cfgs({rate: 0.5}))
    assert layer.attn.attn_drop.p + layer.attn.proj_drop.p == 0.5
    x, layout = torch.randn(2, 5, DIM), PackedLayout(keep)
    bias = torch.randn(HEADS, 5, 5)
    block = Block(layer)
    acts(lambda: block(layout.pack(x), bias, layout), block)


@pytest.mark.parametrize('rate', ['attn_drop_rate', 'drop_rate'])
def test_of_caes_regressor(rate):
    torch.manual_seed(0)
    layer = context_regressor.RegressorBlock(
        DIM, HEADS, 16, qkv_bias=True, layer_scale_init_value=.1,
        **{rate: 0.5})
    tokens, position = torch.randn(2, 5, DIM), torch.zeros(1, 5, DIM)
    layout = PackedLayout(UNEQUAL)
    acts(
        lambda: layer(layout.pack(tokens), layout, tokens, position,
                      PackedLayout.whole(tokens, layout.order)), layer)


def test_of_bootmaes_regressor_with_thrown_tokens():
    torch.manual_seed(0)
    block = regressor.RegressorBlock(DIM, 12, HEADS)
    block.attn.attn_drop = 0.5
    x, memory = torch.randn(2, 5, DIM), torch.randn(6, 12)
    for layout in (PackedLayout.whole(x), PackedLayout(UNEQUAL)):
        keys = PackedLayout.whole(memory.view(2, 3, -1), layout.order)
        acts(lambda layout=layout, keys=keys: block(
            layout.pack(x), None, layout, None, memory, keys), block)


@pytest.mark.parametrize('kind', [MaskedViT, MaskedBEiT])
def test_after_positions(kind):
    """``drop_rate`` also drops what enters the first block."""
    torch.manual_seed(0)
    vit = kind(ARCH, **SIZE)
    vit.drop_after_pos = nn.Dropout(0.5)
    images = torch.randn(2, 3, 32, 32)
    from sbam_mm.masking import TokenMask
    from sbam_mm.models.backbones.vit_attention import encode_whole
    mask = TokenMask(torch.rand(2, 16) < 0.5)
    acts(lambda: vit.encode(vit.embed(images), mask).packed, vit)
    acts(lambda: encode_whole(vit, images), vit)


def acts(run, module):
    """Draws differ in training, and evaluation draws nothing."""
    module.train()
    first, second = run(), run()
    assert not torch.allclose(first, second)
    module.eval()
    assert torch.equal(run(), run())
    assert not torch.allclose(first, run())


def test_dropped_attention_keeps_its_mean():
    """The share that stays is scaled up, as in mmpretrain's forward."""
    torch.manual_seed(0)
    layer = Block(
        TransformerEncoderLayer(DIM, HEADS, 16, attn_drop_rate=0.5))
    layer.ln2, layer.ffn = nn.Identity(), Pass()
    x, layout = torch.randn(2, 5, DIM), PackedLayout(UNEQUAL)
    layer.train()
    mean = torch.stack([packed(layer, x, layout) for _ in range(3000)]).mean(0)
    layer.eval()
    torch.testing.assert_close(
        mean, packed(layer, x, layout), atol=.05, rtol=.05)


class Pass(nn.Module):
    add_identity = True

    def forward(self, x, identity):
        return identity


def test_flex_with_dropout_is_refused_at_build_time(monkeypatch):
    monkeypatch.setattr('sbam_mm.segments.bias.flex_available',
                        lambda: True)
    with pytest.raises(ValueError, match='attn_drop_rate'):
        MaskedViT(ARCH, segment_bias=dict(kernel='flex'),
                  layer_cfgs=dict(attn_drop_rate=.1), **SIZE)


def test_qk_scale_of_beit_counts():
    torch.manual_seed(0)
    layer = BEiTTransformerEncoderLayer(
        DIM, HEADS, 16, 0.1, (2, 2), False, attn_cfg=dict(qk_scale=3.))
    x, bias = torch.randn(2, 5, DIM), torch.randn(HEADS, 5, 5)
    layout = PackedLayout(EQUAL, 5)
    out = Block(layer)(layout.pack(x), bias, layout).view(x.shape)
    torch.testing.assert_close(out, layer(x, bias))


@pytest.mark.parametrize('kind', ['plain', 'beit'])
def test_stochastic_depth_drops_images(kind):
    """An image keeps a branch or loses it as a whole, each branch once."""
    torch.manual_seed(0)
    vit = (MaskedViT if kind == 'plain' else MaskedBEiT)(
        ARCH, drop_path_rate=.5, **SIZE)
    layer = vit.layers[-1].train()
    for name in ('gamma_1', 'gamma_2'):
        if kind == 'beit':
            getattr(layer, name).data.fill_(1.)
    x, layout = torch.randn(64, 5, 24), PackedLayout(torch.ones(64, 5) > 0, 5)
    bias = torch.zeros(3, 5, 5) if kind == 'beit' else None
    out = run_blocks([layer], layout.pack(x), layout, bias).view(x.shape)
    layer.eval()
    with torch.no_grad():
        whole = run_blocks([layer], layout.pack(x), layout, bias)
        branch = whole.view(x.shape) - x
    kept = (out - x).flatten(1).norm(dim=1) > 1e-6
    # Both branches are lost by a quarter of the images.
    assert 0 < (~kept).sum() < 32
    assert branch.abs().sum() > 0
    changed = ((out - x).abs().amax(-1) > 1e-6)
    assert torch.equal(changed.any(1), changed.all(1))


def test_stochastic_depth_of_unequal_images_is_refused():
    layer = Block(TransformerEncoderLayer(DIM, HEADS, 16, drop_path_rate=.5))
    layout = PackedLayout(UNEQUAL)
    x = layout.pack(torch.randn(2, 5, DIM))
    with pytest.raises(ValueError, match='drop_path_rate=0'):
        layer.train()(x, None, layout)
    layer.eval()(x, None, layout)


def test_of_layer_cfgs_is_refused_at_build_time(tiny_mae):
    from sbam_mm.registry import MODELS
    with pytest.raises(ValueError, match='drop_path_rate=0'):
        MODELS.build(
            dict(
                type='sbam_mm.MAE',
                backbone=dict(
                    type='sbam_mm.MaskedViT', arch=ARCH,
                    layer_cfgs=dict(drop_path_rate=.1), **SIZE),
                masker=dict(type='sbam_mm.SBAM'),
                neck=dict(type='sbam_mm.MAEDecoder', embed_dim=24, **SIZE),
                head=dict(type='sbam_mm.PixelHead', patch_size=8)))
