# Copyright (c) OpenMMLab. All rights reserved.
"""UM-MAE: what is covered a second time, and what it hides."""
import pytest
import torch
from short_trainings import every_parameter_learns, mask_of

from sbam_mm.masking import TokenMask
from sbam_mm.models import UMMAE

pytestmark = pytest.mark.unit

ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
SIZE = dict(img_size=32, patch_size=8)


def build(masker=None, **options):
    torch.manual_seed(0)
    model = UMMAE(
        backbone=dict(type='sbam_mm.MaskedViT', arch=ARCH, **SIZE),
        masker=masker,
        neck=dict(
            type='sbam_mm.MAEDecoder',
            embed_dim=24,
            decoder_embed_dim=16,
            decoder_depth=1,
            decoder_num_heads=2,
            **SIZE),
        head=dict(type='sbam_mm.PixelHead', patch_size=8),
        **options)
    model.init_weights()
    return model


def test_a_quarter_of_49_is_12():
    masked = torch.ones(3, 14, 14, dtype=torch.bool)
    masked[:, ::2, ::2] = False
    mask = TokenMask(masked.flatten(1))
    covered = build().covered(mask)
    assert covered.sum(1).tolist() == [12] * 3
    assert not (covered & mask.masked).any()
    assert not torch.equal(covered[0], covered[1])


def test_the_share_is_of_the_image_s_own_tokens():
    mask = mask_of([12, 8, 4, 16], thrown=0)
    noise = torch.arange(64.).view(4, 16) / 64
    covered = build(secondary=0.5).covered(mask, noise)
    assert covered.sum(1).tolist() == [2, 4, 6, 0]
    # The highest draws of what is visible.
    for i in range(3):
        visible = mask.visible[i].nonzero()[:, 0]
        assert covered[i].nonzero()[:, 0].tolist() == visible[
            -int(covered[i].sum()):].tolist()


def test_covered_patches_say_nothing():
    """Other pixels in them, the same latent; others do change it."""
    model, images = build().train(), torch.randn(2, 3, 32, 32)
    mask = mask_of([8, 8])
    covered = torch.zeros(2, 16, dtype=torch.bool)
    for i in range(2):
        covered[i, mask.visible[i].nonzero()[:2, 0]] = True
    model.covered = lambda *_: covered

    def latent(images):
        tokens = model.backbone.embed(images)
        return model.encode(tokens, mask, images).packed

    def changed(where):
        spread = where.view(2, 1, 4, 4).repeat_interleave(
            8, 2).repeat_interleave(8, 3)
        return torch.where(spread, torch.randn_like(images), images)

    assert torch.equal(latent(changed(covered)), latent(images))
    seen = mask.visible & ~covered
    assert not torch.allclose(latent(changed(seen)), latent(images))


def test_it_is_mae_in_evaluation_and_without():
    images, mask = torch.randn(2, 3, 32, 32), mask_of([8, 8])
    for model in (build().eval(), build(secondary=0.).train()):
        tokens = model.backbone.embed(images)
        assert torch.equal(
            model.encode(tokens, mask, images).packed,
            model.backbone.encode(tokens, mask).packed)


@pytest.mark.parametrize('masker', [
    None, dict(type='sbam_mm.SBAM', ratio=0.5),
    dict(type='sbam_mm.AttMask', source='self')])
def test_every_parameter_learns(masker):
    model = build(masker, secondary=0.5)
    every_parameter_learns(model, torch.randn(4, 3, 32, 32))


def test_bad_share():
    with pytest.raises(ValueError, match='UM-MAE uses 0.25'):
        build(secondary=1.)
