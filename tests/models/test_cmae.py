# Copyright (c) OpenMMLab. All rights reserved.
"""CMAE computes the official numbers, and trains with any masker."""
import golden_files
import pytest
import torch
from short_trainings import (
    every_parameter_learns,
    two_halves_equal_the_whole,
)
from torch import nn

from sbam_mm.masking import MaskingContext, RandomMasker, TokenMask
from sbam_mm.models.heads import InfoNCEHead
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
GOLDEN = golden_files.load('cmae_forward')
# Ours by the official parameters' first names.
NAMES = {
    'backbone': 'backbone',
    'target_backbone': 'target.average.module',
    'pixel_decoder': 'neck',
    'feature_decoder': 'feature_decoder',
    'projector': 'projector',
    'target_projector': 'target_projector.module',
    'head': 'contrast',
}


def our_name(official):
    first, rest = official.split('.', 1)
    return f'{NAMES[first]}.{rest}'


def cmae(masker=None, momentum=0.996, seed=0, **options):
    """The official run's sizes."""
    torch.manual_seed(seed)
    size = dict(img_size=32, patch_size=4)
    decoder = dict(
        type='sbam_mm.MAEDecoder',
        embed_dim=48,
        decoder_embed_dim=32,
        decoder_num_heads=4,
        mlp_ratio=2,
        **size)
    mlp = dict(
        type='NonLinearNeck',
        hid_channels=40,
        out_channels=24,
        with_bias=True,
        with_last_bn=False,
        with_avg_pool=False,
        norm_cfg=dict(type='SyncBN', eps=1e-6))
    options.setdefault(
        'target', dict(type='sbam_mm.MomentumTeacher', momentum=momentum))
    model = MODELS.build(
        dict(
            type='sbam_mm.CMAE',
            backbone=dict(
                type='sbam_mm.MaskedViT',
                arch=dict(
                    embed_dims=48,
                    num_layers=2,
                    num_heads=4,
                    feedforward_channels=96),
                **size),
            masker=masker or dict(
                type='sbam_mm.RandomMasker', ratio=0.65, cell=2),
            neck=dict(decoder, decoder_depth=2),
            head=dict(type='sbam_mm.PixelHead', patch_size=4),
            feature_decoder=dict(
                decoder, decoder_depth=1, predict_feature_dim=48),
            projector=dict(mlp, in_channels=48),
            contrast=dict(
                type='sbam_mm.InfoNCEHead',
                predictor=dict(mlp, in_channels=24)),
            **options))
    model.init_weights()
    return model


def started(model):
    """Its momentum copies have been copied before."""
    for copy in (model.target.average, model.target_projector):
        copy.steps.fill_(1)
    return model


@pytest.fixture
def official():
    """The official weights, with the target's left where they are.

    The file's encoder and projector are those of the momentum update, whose
    trainable parameters were raised by 0.05 after the forward pass; running
    statistics are those after the pass, too.
    """
    model = cmae(masker=FixedMask(GOLDEN['mask'], 20), momentum=1.)
    state = {
        our_name(key[3:]): value
        for key, value in GOLDEN.items()
        if key.startswith('sd/') and 'running' not in key
    }
    for name, parameter in model.named_parameters():
        followed = name.startswith(('backbone.', 'projector.'))
        if followed and parameter.requires_grad:
            state[name] = state[name] - 0.05
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    # The final norm is not run in the target.
    assert all(
        name.endswith('steps') or 'running' in name
        or name.startswith('target.average.module.ln1') for name in missing)
    return started(model.train())


class FixedMask(nn.Module):
    uniform = True

    def __init__(self, masked, num_visible=None):
        super().__init__()
        self.token_mask = TokenMask(masked, num_visible=num_visible)

    def forward(self, context):
        return self.token_mask


def views(batch_size=4):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, batch_size, 3, 32, 32, generator=generator)
    # Salient shares that differ, so that ratios per image do.
    images[:, 1, :, :, :24] *= 0.05
    images[:, 2, :, :16] *= 0.05
    return list(images)


def close(actual, expected, rtol=1e-4, atol=2e-5):
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


def test_mask_of_squares_equals_official():
    tokens = torch.zeros(4, 64, 1)
    mask = RandomMasker(0.65, cell=2)(
        MaskingContext(tokens, (8, 8)), GOLDEN['block_noise'])
    assert torch.equal(mask.masked, GOLDEN['mask'])
    assert mask.num_visible == int(GOLDEN['keep_tokens'])


def test_hides_32_of_49_squares():
    context = MaskingContext(torch.zeros(1, 196, 1), (14, 14))
    assert RandomMasker(0.65, cell=2)(context).num_visible == 17 * 4


def test_official_forward(official):
    tokens = official.backbone.embed(GOLDEN['images'])
    mask = official.masker.token_mask
    latent = official.backbone.encode(tokens, mask)
    restored = torch.cat([
        GOLDEN['latent'][:, :1],
        torch.nn.functional.pad(GOLDEN['latent'][:, 1:], (0, 0, 0, 44)).gather(
            1, GOLDEN['ids_restore'].long()[..., None].expand(-1, -1, 48))
    ], 1)
    close(latent.to_dense(), restored)
    close(official.neck(latent, mask), GOLDEN['pred_pixel'])
    features = official.feature_decoder(latent, mask)
    close(features, GOLDEN['pred_feature'])
    projection = official.projector((features.mean(1), ))[0]
    close(projection, GOLDEN['proj_s'])
    close(
        official.contrast.predictor((projection, ))[0],
        GOLDEN['predictor_out'])
    close(
        official.target.tokens(GOLDEN['images_target']),
        GOLDEN['latent_target'][:, 1:])
    close(
        official.target_projection(GOLDEN['images_target']), GOLDEN['proj_t'])
    after = official.state_dict()
    for key, value in GOLDEN.items():
        if key.startswith('bn_after/'):
            close(after[our_name(key[9:])], value)


def test_official_losses_and_gradients(official):
    out = official.loss([GOLDEN['images'], GOLDEN['images_target']])
    close(out['loss_contrast'], GOLDEN['loss_ct'], rtol=1e-5, atol=0)
    close(out['loss_pixel'], GOLDEN['loss_rc'], rtol=1e-5, atol=0)
    (out['loss_contrast'] + out['loss_pixel']).backward()
    parameters = dict(official.named_parameters())
    for key, value in GOLDEN.items():
        if key.startswith('grad/'):
            close(
                parameters[our_name(key[5:])].grad,
                value,
                rtol=1e-3,
                atol=2e-5 * value.abs().max().item())


def test_official_momentum_update():
    model = started(cmae(momentum=float(GOLDEN['ema_momentum']))).train()
    ours = model.state_dict()
    for key in ('target_backbone.patch_embed.projection.weight',
                'target_backbone.cls_token', 'target_projector.fc1.weight'):
        ours[our_name(key)].copy_(GOLDEN[f'sd/{key}'])
        student = key.removeprefix('target_')
        ours[our_name(student)].copy_(GOLDEN[f'ema_student/{student}'])
    model.follow_student()
    for key, value in GOLDEN.items():
        if key.startswith('ema_after/'):
            close(ours[our_name(key[10:])], value, rtol=0, atol=1e-6)


def test_position_table_is_official():
    ours = cmae().state_dict()
    for key in ('backbone.pos_embed', 'pixel_decoder.decoder_pos_embed'):
        close(ours[our_name(key)], GOLDEN[f'sd/{key}'], rtol=0, atol=1e-6)


@pytest.mark.parametrize('masker', [
    dict(type='sbam_mm.SBAM', ratio=0.65, cell=2),
    dict(type='sbam_mm.SBAM'),
    dict(type='sbam_mm.RandomRatioMasker', cell=2),
    dict(type='sbam_mm.AttMask', block=-1),
    dict(type='sbam_mm.BlockMasker'),
    dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AffinitySalience'),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=0.45),
        selection=dict(type='sbam_mm.WeightedOrder', throw=0.3)),
], ids=lambda masker: masker['type'])
def test_trains_with_any_masker(masker):
    every_parameter_learns(cmae(masker).train(), views())


def test_squares_are_hidden_as_a_whole_at_a_ratio_per_image():
    model = cmae(dict(type='sbam_mm.SBAM', ratio=0.65, cell=2))
    online = views()[0]
    mask = model.mask(model.backbone.embed(online), online)
    cells = mask.masked.unflatten(1, (4, 2, 4, 2)).transpose(2, 3).flatten(3)
    assert torch.equal(cells.all(-1), cells.any(-1))
    assert mask.visible_counts.unique().numel() > 1


def test_thrown_patches_leave_the_mean():
    """What stands in a thrown patch's place changes nothing."""
    thrown = torch.rand(4, 64) < 0.3
    masked = ~thrown & (torch.rand(4, 64) < 0.5)
    model = cmae(FixedMask(masked)).train()
    model.masker.token_mask.thrown = thrown
    online, other = views()
    changed = online.clone()
    pixels = thrown.unflatten(1, (8, 8)).repeat_interleave(
        4, 1).repeat_interleave(4, 2)
    changed[pixels[:, None].expand_as(changed)] = 9.
    first = model.loss([online, other])
    second = model.loss([changed, other])
    close(first['loss_contrast'], second['loss_contrast'])
    close(first['loss_pixel'], second['loss_pixel'])


def test_one_view_is_refused():
    with pytest.raises(ValueError, match='PixelShift'):
        cmae().loss(views()[0])


def test_target_is_no_frozen_teacher():
    with pytest.raises(ValueError, match='MomentumTeacher'):
        cmae(target=nn.Identity())


def test_contrast_is_the_formula():
    """By hand, for a predictor that changes nothing."""

    class Same(nn.Module):

        def forward(self, x):
            return x

    q, t = torch.randn(5, 6), torch.randn(5, 6)
    cos = torch.nn.functional.cosine_similarity(q[:, None], t[None], dim=-1)
    expected = -(cos / 0.2).softmax(1).diagonal().log().mean() * 2 * 0.2
    close(InfoNCEHead(Same(), temperature=0.2).loss(q, t), expected)


def test_two_halves_of_a_training_equal_the_whole(tmp_path):
    """Momentum copies and batch statistics are all in the state dict."""
    masker = dict(type='sbam_mm.SBAM', cell=2)
    two_halves_equal_the_whole(
        lambda seed: cmae(masker, seed=seed).train(), views(),
        tmp_path / 'half.pth')
