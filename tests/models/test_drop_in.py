# Copyright (c) OpenMMLab. All rights reserved.
"""One line puts a masker into mmpretrain's own configs."""
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from sbam_mm.masking import SBAM, RandomMasker
from sbam_mm.models import MAEViT

pytestmark = pytest.mark.unit
ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
SIZE = dict(arch=ARCH, img_size=32, patch_size=8)


@pytest.mark.parametrize('config, backbone', [
    ('mae/mae_vit-base-p16_8xb512-amp-coslr-800e_in1k.py', 'MAEViT'),
    ('mff/mff_vit-base-p16_8xb512-amp-coslr-300e_in1k.py', 'MFFViT'),
    ('eva/eva-mae-style_vit-base-p16_16xb256-coslr-400e_in1k.py', 'MAEViT'),
])
def test_mmpretrain_configs_take_a_masker(config, backbone):
    cfg = Config.fromfile(
        Config._get_cfg_path(f'mmpretrain::{config}', '')[0])
    model_cfg = cfg.model
    model_cfg.backbone.update(
        type=f'sbam_mm.{backbone}',
        masker=dict(type='sbam_mm.SBAM', scope='batch'),
        **SIZE)
    if backbone == 'MFFViT':
        model_cfg.backbone.out_indices = [0, 1]
    if 'eva' in config:
        model_cfg.backbone.patch_size = 8
        model_cfg.target_generator = dict(type='FakeCLIP')
        model_cfg.neck.predict_feature_dim = 24
    model_cfg.neck.update(
        num_patches=16,
        patch_size=8,
        embed_dim=24,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2)
    if 'patch_size' in model_cfg.head:
        model_cfg.head.patch_size = 8
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(model_cfg)
    out = model.loss(torch.rand(2, 3, 32, 32), None)
    out['loss'].backward()
    assert torch.isfinite(out['loss'])
    assert model.backbone.patch_embed.projection.weight.grad.abs().sum() > 0


@MODELS.register_module(force=True)
class FakeCLIP(torch.nn.Module):
    """Stands for EVA's CLIP, whose weights are a download of 600 MB."""

    def forward(self, images):
        return torch.ones(len(images), 17, 24), None


def test_same_draws_same_output_as_mmpretrain():
    from mmpretrain.models.selfsup import MAEViT as Original
    torch.manual_seed(0)
    original = Original(**SIZE)
    original.init_weights()
    ours = MAEViT(**SIZE)
    ours.load_state_dict(original.state_dict())
    images = torch.randn(2, 3, 32, 32)
    torch.manual_seed(1)
    latent, mask, restore = original(images)
    torch.manual_seed(1)
    our_latent, our_mask, our_restore = ours(images)
    assert torch.equal(mask, our_mask)
    # mmpretrain keeps visible tokens in shuffled order, we in grid order.
    shuffled = torch.argsort(restore, 1)[:, :4]
    ordered = torch.argsort(our_restore, 1)[:, :4]
    place = torch.argsort(torch.argsort(shuffled, 1), 1)
    assert torch.equal(ordered.gather(1, place), shuffled)
    torch.testing.assert_close(
        our_latent[:, 1:].gather(1, place[..., None].expand(-1, -1, 24)),
        latent[:, 1:],
        rtol=0,
        atol=1e-5)


def test_mask_false_does_not_mask():
    vit = MAEViT(**SIZE)
    images = torch.randn(2, 3, 32, 32)
    for off in (False, None):
        features, = vit(images, mask=off)
        assert features.shape == (2, 17, 24)


def test_statistics_reach_the_message_hub():
    vit = MAEViT(masker=SBAM(scope='batch'), **SIZE)
    vit(torch.randn(2, 3, 32, 32))
    scalars = MessageHub.get_current_instance().log_scalars
    assert 0.6 <= scalars['train/mask_ratio'].current() <= 0.9


def test_per_image_ratios_are_refused_with_the_way_out():
    with pytest.raises(ValueError) as error:
        MAEViT(masker=dict(type='sbam_mm.SBAM'), **SIZE)
    for name in ('sbam_mm.MaskedViT', 'sbam_mm.MAEDecoder', 'scope='):
        assert name in str(error.value)


def test_thrown_tokens_are_refused_with_the_way_out():
    vit = MAEViT(masker=throwing(), **SIZE)
    with pytest.raises(ValueError, match="use type='sbam_mm.MAE'"):
        vit(torch.randn(2, 3, 32, 32))


def throwing():
    return dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AffinitySalience'),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=0.45),
        selection=dict(type='sbam_mm.WeightedOrder', throw=0.4))


def test_default_is_random_masking():
    assert isinstance(MAEViT(mask_ratio=0.5, **SIZE).masker, RandomMasker)
