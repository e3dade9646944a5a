# Copyright (c) OpenMMLab. All rights reserved.
"""What maskers ask of the encoder in training is what it is in evaluation."""
import pytest
import torch

from sbam_mm.models import ConvViT, MaskedBEiT, MaskedViT
from sbam_mm.models.backbones.vit_attention import (
    input_tokens,
    patch_attention,
)
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
SIZE = dict(img_size=32, patch_size=8)
ARCH = dict(
    embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
RATES = dict(drop_path_rate=.5, drop_rate=.5)


def encoder(kind):
    torch.manual_seed(0)
    if kind is ConvViT:
        return ConvViT(
            dict(embed_dims=(8, 12, 24), depths=(1, 1, 3), num_heads=3),
            img_size=32, patch_sizes=(2, 2, 2), drop_path_rate=.5)
    options = dict(RATES, layer_cfgs=dict(attn_drop_rate=.5))
    return kind(ARCH, **SIZE, **options)


ASK = {
    'layer_tokens': lambda vit, tokens: vit.layer_tokens(tokens, 2),
    'attention': lambda vit, tokens: vit.attention(tokens, -1, 'all'),
}


@pytest.mark.parametrize('question', ASK)
@pytest.mark.parametrize('kind', [MaskedViT, MaskedBEiT, ConvViT])
def test_nothing_is_dropped_and_nothing_drawn(kind, question):
    vit = encoder(kind)
    vit.train()
    tokens = torch.randn(2, 16, 24)
    state = torch.get_rng_state()
    first = ASK[question](vit, tokens)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, ASK[question](vit, tokens))
    assert vit.training and all(m.training for m in vit.modules())
    vit.eval()
    assert torch.equal(first, ASK[question](vit, tokens))


def test_convmaes_look_is_that_of_evaluation():
    vit, images = encoder(ConvViT), torch.randn(2, 3, 32, 32)
    first = vit.embed(images)
    assert torch.equal(first, vit.embed(images))
    vit.eval()
    assert torch.equal(first, vit.embed(images))


def test_attention_of_a_student_outside_of_a_model():
    vit, images = encoder(MaskedViT), torch.randn(2, 3, 32, 32)
    vit.drop_after_pos.p = 0.
    x = input_tokens(vit, images)
    assert torch.equal(
        patch_attention(vit, x, -1), patch_attention(vit, x, -1))


@pytest.mark.parametrize('masker', [
    dict(type='sbam_mm.SBM', salience=dict(layer=2), noise=0.),
    dict(type='sbam_mm.AttMask', source='self', ratio=.5, probability=1.),
    dict(type='sbam_mm.GPA', source='self', block=2, head=0,
         hard=(1., 1.), soft=(0., 0.)),
], ids=lambda masker: masker['type'])
def test_a_training_model_masks_as_in_evaluation(masker):
    model = MODELS.build(
        dict(
            type='sbam_mm.MAE',
            backbone=dict(
                type='sbam_mm.MaskedViT', arch=ARCH, drop_path_rate=.5,
                **SIZE),
            masker=masker,
            neck=dict(type='sbam_mm.MAEDecoder', embed_dim=24, **SIZE),
            head=dict(type='sbam_mm.PixelHead', patch_size=8))).train()
    images = torch.randn(2, 3, 32, 32)
    tokens = model.backbone.embed(images)
    scores = [model.mask(tokens, images).scores for _ in range(2)]
    scores.append(model.eval().mask(tokens, images).scores)
    assert torch.equal(scores[0], scores[1])
    assert torch.equal(scores[0], scores[2])
