# Copyright (c) OpenMMLab. All rights reserved.
"""BEiT against mmpretrain's, for the same mask and weights."""
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.models import DALLEEncoder
from mmpretrain.structures import DataSample
from short_trainings import every_parameter_learns

from sbam_mm.models import BEiT
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit

ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
SIZE = dict(img_size=32, patch_size=8)
TOKENIZER = dict(n_hid=8, n_blk_per_group=1, vocab_size=32)


@pytest.fixture
def dalle(tmp_path):
    torch.manual_seed(4)
    path = tmp_path / 'dalle_encoder.pth'
    torch.save(DALLEEncoder(**TOKENIZER).state_dict(), path)
    return dict(
        type='sbam_mm.DalleHead', checkpoint=str(path), tokenizer=TOKENIZER)


def build(head, masker=None, **options):
    torch.manual_seed(0)
    model = BEiT(
        backbone=dict(type='sbam_mm.MaskedBEiT', arch=ARCH, **SIZE),
        masker=masker,
        neck=dict(type='sbam_mm.LinearDecoder', embed_dim=24, out_dims=32),
        head=head,
        **options)
    model.init_weights()
    return model


def test_loss_equals_mmpretrain(dalle):
    model = build(dalle, dict(
        type='sbam_mm.BlockMasker', ratio=0.4, min_area=2)).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=.1)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        theirs = MODELS.build(dict(
            type='mmpretrain.BEiT',
            backbone=dict(
                type='BEiTPretrainViT', arch=ARCH, **SIZE),
            head=dict(
                type='BEiTV1Head', embed_dims=24, num_embed=32,
                loss=dict(type='CrossEntropyLoss')),
            target_generator=dict(type='DALL-E', **TOKENIZER))).eval()
    state = {f'backbone.{k}': v
             for k, v in model.backbone.state_dict().items()}
    state['backbone.mask_token'] = model.mask_token
    for name in ('weight', 'bias'):
        state[f'head.cls_head.{name}'] = getattr(model.neck.decoder, name)
    for name, value in model.head.tokenizer.state_dict().items():
        state[f'target_generator.{name}'] = value
    theirs.load_state_dict(state, strict=True)
    images, small = torch.randn(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    tokens = model.backbone.embed(images)
    token_mask = model.mask(tokens, images)
    model.mask = lambda *_, **__: token_mask
    samples = []
    for masked in token_mask.masked:
        sample = DataSample()
        sample.set_field(masked.view(4, 4).long(), 'mask')
        samples.append(sample)
    torch.testing.assert_close(
        model.loss([images, small])['loss'],
        theirs.loss([images, small], samples)['loss'], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('masker', [
    dict(type='sbam_mm.RandomMasker', ratio=0.4),
    dict(type='sbam_mm.SBAM', ratio=0.4),
    dict(type='sbam_mm.GPA', ratio=0.4, block=1, head=2, source='self'),
    dict(type='sbam_mm.AMT', ratio=0.4, throw=0.2),
])
def test_every_parameter_learns_with_any_masker(masker, dalle):
    model = build(dalle, masker)
    samples = []
    for _ in range(3):
        sample = DataSample()
        sample.set_field(torch.rand(4, 4).numpy(), 'attention_map')
        samples.append(sample)
    inputs = [torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)]
    loss = model.loss
    model.loss = lambda pictures: loss(pictures, samples)
    every_parameter_learns(model, inputs)


def test_the_default_hides_75_of_196_in_blocks(dalle):
    from sbam_mm.masking import MaskingContext
    masker = build(dalle).masker
    mask = masker(MaskingContext(torch.zeros(4, 196, 2), (14, 14)))
    assert mask.masked.sum(1).tolist() == [75] * 4


def test_pixels_and_missing_pictures(dalle):
    images = torch.rand(2, 3, 32, 32)
    with pytest.raises(ValueError, match='wants a second picture'):
        build(dalle).loss(images)
    with pytest.raises(ValueError, match='predicts no pixels'):
        build(dalle).reconstruct(images)
