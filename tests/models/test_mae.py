# Copyright (c) OpenMMLab. All rights reserved.
"""MAE with any masker: official numbers, and packed = dense = loop."""
import golden_files
import pytest
import torch

from sbam_mm.masking import SBAM, MaskingContext, RandomMasker, TokenMask
from sbam_mm.models import patchify, unpatchify

pytestmark = pytest.mark.unit


class WithNoise(torch.nn.Module):
    """A masker whose draws are given."""

    def __init__(self, masker, noise):
        super().__init__()
        self.masker, self.noise = masker, noise
        self.uniform, self.needs = masker.uniform, masker.needs

    def forward(self, context: MaskingContext) -> TokenMask:
        return self.masker(context, self.noise)


def official(golden, tiny_mae, masker, norm_pix):
    """Our model with the official weights."""
    cfg = {
        key[4:]: int(value)
        for key, value in golden.items() if key.startswith('cfg/')
    }
    from sbam_mm.registry import MODELS
    size = dict(img_size=cfg['img_size'], patch_size=cfg['patch_size'])
    dim = cfg['embed_dim']
    model = MODELS.build(
        dict(
            type='sbam_mm.MAE',
            backbone=dict(
                type='sbam_mm.MaskedViT',
                arch=dict(
                    embed_dims=dim,
                    num_layers=cfg['depth'],
                    num_heads=cfg['num_heads'],
                    feedforward_channels=4 * dim),
                **size),
            masker=WithNoise(masker, golden['noise']),
            neck=dict(
                type='sbam_mm.MAEDecoder',
                embed_dim=dim,
                decoder_embed_dim=cfg['decoder_embed_dim'],
                decoder_depth=cfg['decoder_depth'],
                decoder_num_heads=cfg['decoder_num_heads'],
                **size),
            head=dict(
                type='sbam_mm.PixelHead',
                patch_size=cfg['patch_size'],
                norm_pix=norm_pix)))
    model.load_state_dict(golden_files.our_state_dict(golden), strict=True)
    return model


def check_loss_and_gradients(model, golden, prefix):
    out = model.loss(golden['images'])
    torch.testing.assert_close(
        out['loss'], golden[f'{prefix}/loss'], rtol=1e-5, atol=0)
    out['loss'].backward()
    params = dict(model.named_parameters())
    checked = 0
    for key, want in golden.items():
        if not key.startswith(f'{prefix}/grad/'):
            continue
        got = params[golden_files.our_name(key.split('/grad/')[1])].grad
        torch.testing.assert_close(
            got, want, rtol=1e-5, atol=1e-5 * want.abs().max().item())
        checked += 1
    assert checked >= 2


@pytest.mark.parametrize('pixels', ['raw_pix', 'norm_pix'])
def test_equals_official_mae(tiny_mae, pixels):
    golden = golden_files.load('mae_forward')
    masker = RandomMasker(float(golden['mask_ratio']))
    model = official(golden, tiny_mae, masker, pixels == 'norm_pix')

    tokens = model.backbone.embed(golden['images'])
    close = dict(rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(tokens, golden['tokens_after_pos'], **close)
    mask = model.mask(tokens, golden['images'])
    assert torch.equal(mask.masked, golden['mask'])
    latent = model.backbone.encode(tokens, mask)
    # The official encoder keeps the shuffled order; the first rows of the
    # permutation are its visible patches.
    order = torch.argsort(golden['ids_restore'].long(), 1)
    visible = order[:, :int(golden['len_keep'])]
    dense = latent.to_dense()
    torch.testing.assert_close(dense[:, 0], golden['latent'][:, 0], **close)
    torch.testing.assert_close(
        dense[:, 1:].gather(1, visible[..., None].expand(
            -1, -1, dense.shape[-1])), golden['latent'][:, 1:], **close)
    torch.testing.assert_close(
        model.neck(latent, mask), golden['pred'], **close)
    torch.testing.assert_close(
        model.backbone(golden['images'])[0], golden['latent_unmasked'],
        **close)
    torch.testing.assert_close(
        patchify(golden['images'], model.head.patch_size),
        golden['target_raw'])
    check_loss_and_gradients(model, golden, pixels)


@pytest.mark.parametrize('run', [0, 1])
@pytest.mark.parametrize('pixels', ['raw_pix', 'norm_pix'])
def test_equals_official_sbam(tiny_mae, run, pixels):
    golden = golden_files.load('sbam_forward')
    ratio, delta_r, delta = golden['runs'][run].tolist()
    masker = SBAM(ratio, delta_r, delta, scope='batch', rounding='float32')
    model = official(golden, tiny_mae, masker, pixels == 'norm_pix')
    mask = model.mask(model.backbone.embed(golden['images']),
                      golden['images'])
    torch.testing.assert_close(mask.scores, golden['S'], rtol=0, atol=2e-5)
    assert torch.equal(mask.masked, golden[f'run{run}/mask'])
    assert mask.num_visible == int(golden[f'run{run}/keep'])
    check_loss_and_gradients(model, golden, f'run{run}/{pixels}')


def loss_and_gradients(model, images, mask):
    model.zero_grad()
    latent = model.backbone.encode(model.backbone.embed(images), mask)
    prediction = model.neck(latent, mask)
    loss = model.head.loss(prediction, images, mask)
    loss.backward()
    return prediction, loss, {
        name: p.grad.clone()
        for name, p in model.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize('reduction', ['token', 'sample'])
@pytest.mark.parametrize('thrown', [False, True])
def test_packed_equals_a_loop_over_images(tiny_mae, reduction, thrown):
    model = tiny_mae(reduction=reduction)
    images = torch.randn(4, 3, 32, 32)
    masked = torch.rand(4, 16) < torch.tensor([.8, .5, .3, .7])[:, None]
    masked[:, 0], masked[:, 1] = False, True
    away = None
    if thrown:
        away = ~masked & (torch.rand(4, 16) < 0.4)
        away[:, 0] = False
    mask = TokenMask(masked, away)
    assert len(set(mask.visible_counts.tolist())) > 1
    prediction, loss, grads = loss_and_gradients(model, images, mask)

    total, expected = 0, dict.fromkeys(grads, 0.0)
    weights = masked.sum(1) if reduction == 'token' else torch.ones(4)
    for i in range(4):
        one = slice(i, i + 1)
        single = TokenMask(masked[one], None if away is None else away[one])
        p, part, g = loss_and_gradients(model, images[one], single)
        share = weights[i] / weights.sum()
        total = total + share * part
        for name in g:
            expected[name] = expected[name] + share * g[name]
        told = ~away[i] if thrown else slice(None)
        torch.testing.assert_close(
            prediction[i][told], p[0][told], rtol=0, atol=1e-5)
    torch.testing.assert_close(loss, total, rtol=1e-5, atol=1e-6)
    for name in grads:
        torch.testing.assert_close(
            grads[name], expected[name], rtol=1e-3, atol=1e-5)


def test_packed_equals_dense(tiny_mae):
    model, images = tiny_mae(), torch.randn(4, 3, 32, 32)
    dense = RandomMasker(0.75)(
        model.context(model.backbone.embed(images), images))
    packed = TokenMask(dense.masked)
    assert dense.uniform and not packed.uniform
    a = loss_and_gradients(model, images, dense)
    b = loss_and_gradients(model, images, packed)
    torch.testing.assert_close(a[0], b[0], rtol=0, atol=1e-5)
    for name in a[2]:
        torch.testing.assert_close(a[2][name], b[2][name], atol=1e-5, rtol=0)


def test_thrown_tokens_are_never_seen(tiny_mae):
    """Changing the pixels of thrown patches changes nothing."""
    model, images = tiny_mae(), torch.randn(2, 3, 32, 32)
    masked, thrown = (torch.zeros(2, 16, dtype=torch.bool) for _ in range(2))
    masked[:, :8], thrown[0, 8:11], thrown[1, 12:] = True, True, True
    mask = TokenMask(masked, thrown)
    before = loss_and_gradients(model, images, mask)
    patches = patchify(images, 8)
    patches[thrown] = 100.
    after = loss_and_gradients(model, unpatchify(patches, (4, 4), 8), mask)
    assert torch.equal(before[1], after[1])
    assert all(torch.equal(before[2][n], after[2][n]) for n in before[2])


def test_masked_pixels_reach_only_the_target(tiny_mae):
    """The prediction does not depend on what is hidden."""
    model, images = tiny_mae(), torch.randn(2, 3, 32, 32)
    mask = TokenMask(torch.rand(2, 16) < 0.6)
    before = loss_and_gradients(model, images, mask)[0]
    patches = patchify(images, 8)
    patches[mask.masked] = 7.
    after = loss_and_gradients(model, unpatchify(patches, (4, 4), 8), mask)[0]
    assert torch.equal(before, after)


def composed(selection, ratio=0.75, **options):
    return dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AttentionSalience'),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=ratio),
        selection=dict(type=f'sbam_mm.{selection}', **options))


@pytest.mark.parametrize('masker', [
    'RandomMasker', 'BlockMasker', 'SBM', 'SBAM', 'IncomingMasker',
    'UniformMasker', 'GridMasker', 'RandomRatioMasker', 'IJEPAMasker',
    'ColorMAEMasker', 'InverseBlockMasker', 'CurriculumMasker',
    dict(type='sbam_mm.SelfGuidedMasker', start_progress=0.),
    composed('WeightedOrder', 0.45, throw=0.4),
    composed('WeightedOrder', keep=True),
    composed('HintTopK', mode='hint'),
    composed('HintTopK', 0.3, mode='high', probability=0.5),
    composed('SoftToHard'),
    composed('EasyToHard'),
    dict(type='sbam_mm.SBAM', scope='batch'),
    dict(type='sbam_mm.SBAM', salience=dict(layer=2)),
    dict(type='sbam_mm.SBM', salience=dict(position=False)),
])
@pytest.mark.parametrize('batch_size', [1, 3])
def test_every_masker_trains_every_parameter(tiny_mae, masker, batch_size):
    model = tiny_mae(masker)
    out = model(torch.rand(batch_size, 3, 32, 32), mode='loss')
    total, logs = model.parse_losses(out)
    assert total == out['loss']
    assert 'mask_ratio' in logs and 'visible_tokens' in logs
    total.backward()
    for name, p in model.named_parameters():
        if p.requires_grad:
            assert p.grad is not None and torch.isfinite(p.grad).all(), name


@pytest.mark.parametrize('value', [0., 1.])
def test_constant_images(tiny_mae, value):
    model = tiny_mae('SBAM')
    out = model.loss(torch.full((2, 3, 32, 32), value))
    assert torch.isfinite(out['loss'])


def test_one_patch_image(tiny_mae):
    """Nothing can be hidden: the loss is 0, not NaN."""
    model = tiny_mae('SBAM', img_size=8)
    out = model.loss(torch.randn(2, 3, 8, 8))
    assert out['loss'] == 0 and out['visible_tokens'] == 1
    out['loss'].backward()


def test_images_that_are_not_square(tiny_mae):
    model = tiny_mae('SBAM', img_size=(16, 32))
    images = torch.randn(3, 3, 16, 32)
    assert torch.isfinite(model.loss(images)['loss'])
    patches = patchify(images, 8)
    assert torch.equal(patches[:, 4].unflatten(1, (8, 8, 3)),
                       images[:, :, 8:, :8].permute(0, 2, 3, 1))
    assert torch.equal(unpatchify(patches, (2, 4), 8), images)


def test_a_nan_image_does_not_break_masking(tiny_mae):
    model = tiny_mae('SBAM')
    images = torch.randn(2, 3, 32, 32)
    images[1, 0, 3, 3] = float('nan')
    mask = model.mask(model.backbone.embed(images), images)
    assert not mask.scores[1].any()
    assert (mask.visible_counts >= 1).all()


def test_reconstruction_shows_what_was_predicted(tiny_mae):
    """A perfect prediction gives the image back, through norm_pix too."""
    model = tiny_mae('SBAM')
    images = torch.rand(2, 3, 32, 32)
    assert model.reconstruct(images).images.shape == images.shape
    torch.testing.assert_close(
        model.head.to_images(model.head.target(images), images), images)


def test_salience_layer_beyond_the_encoder(tiny_mae):
    model = tiny_mae('SBM', salience=dict(layer=3))
    with pytest.raises(ValueError, match='the encoder has 2'):
        model.loss(torch.randn(2, 3, 32, 32))


def test_salience_layer_equals_the_blocks(tiny_mae):
    model, images = tiny_mae(), torch.randn(2, 3, 32, 32)
    tokens = model.backbone.embed(images)
    x = model.backbone.prepend_cls(tokens)
    for layer in model.backbone.layers[:1]:
        x = layer(x)
    torch.testing.assert_close(
        model.backbone.layer_tokens(tokens, 1), x[:, 1:])


@pytest.mark.parametrize('change, words', [
    (dict(patch_size=7), 'do not tile'),
    (dict(reduction='image'), 'reduction must be one of'),
])
def test_bad_input_gets_a_sentence(tiny_mae, change, words):
    with pytest.raises(ValueError, match=words):
        tiny_mae(**change)


def test_stochastic_depth_and_packing_exclude_each_other():
    from sbam_mm.models import MAE
    with pytest.raises(ValueError, match='drop_path_rate=0'):
        MAE(backbone=dict(
            type='sbam_mm.MaskedViT', arch='tiny', drop_path_rate=0.1),
            masker=dict(type='sbam_mm.SBAM'))


def test_wrong_image_size(tiny_mae):
    with pytest.raises(ValueError, match='cannot be cut into patches'):
        tiny_mae().loss(torch.randn(1, 3, 30, 32))


@pytest.mark.parametrize('arch, dim, depth, heads', [
    ('tiny', 192, 12, 3),
    ('small', 384, 12, 6),
    ('base', 768, 12, 12),
    ('large', 1024, 24, 16),
    ('huge', 1280, 32, 16),
])
def test_architectures_are_the_standard_ones(arch, dim, depth, heads):
    from sbam_mm.models import MaskedViT
    with torch.device('meta'):
        vit = MaskedViT(arch)
    assert vit.arch_settings['embed_dims'] == dim == vit.cls_token.shape[-1]
    assert len(vit.layers) == depth
    assert vit.layers[0].attn.num_heads == heads
    assert vit.arch_settings['feedforward_channels'] == 4 * dim


def test_state_dict_drops_into_mmpretrain(tiny_mae):
    """Same keys as mmpretrain's VisionTransformer, same features."""
    from mmpretrain.models import VisionTransformer
    ours = tiny_mae().backbone
    theirs = VisionTransformer(
        ours.arch_settings, img_size=32, patch_size=8, out_type='raw')
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images = torch.randn(2, 3, 32, 32)
    nothing = TokenMask(torch.zeros(2, 16, dtype=torch.bool), num_visible=16)
    encoded = ours.encode(ours.embed(images), nothing).to_dense()
    torch.testing.assert_close(
        encoded, theirs(images)[0], rtol=0, atol=1e-5)
