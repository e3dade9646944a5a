# Copyright (c) OpenMMLab. All rights reserved.
"""ConvMAE: hidden pixels stay hidden, at every scale and for any masker."""
import pytest
import torch
import torch.nn.functional as F
from short_trainings import every_parameter_learns, mask_of

from sbam_mm.masking import AffinitySalience, MaskingContext, TokenMask
from sbam_mm.masking import functional as masking
from sbam_mm.models.backbones.convmae import MaskedConvBlock
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit

ARCH = dict(embed_dims=(8, 12, 24), depths=(2, 1, 2), num_heads=3)
ALL_QUERIES = dict(
    type='sbam_mm.Masker',
    salience=dict(type='sbam_mm.AttentionSalience', queries='all'),
    ratio=dict(type='sbam_mm.AdaptiveRatio'),
    selection=dict(type='sbam_mm.NoisyTopK', noise=0.5))
MASKERS = {
    'random': dict(type='sbam_mm.RandomMasker'),
    'block': dict(type='sbam_mm.BlockMasker', ratio=0.75, min_area=2),
    'SBAM': dict(type='sbam_mm.SBAM'),
    'SBAM at block 1': dict(type='sbam_mm.SBAM', salience=dict(layer=1)),
    'SBAM without position': dict(
        type='sbam_mm.SBAM', salience=dict(position=False)),
    'own attention': ALL_QUERIES,
    'GPA of itself': dict(
        type='sbam_mm.GPA', source='self', block=1, head=2),
}


def build(masker='random', look_at='stage3', **options):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='sbam_mm.ConvMAE',
            backbone=dict(
                type='sbam_mm.ConvViT',
                arch=ARCH,
                img_size=32,
                patch_sizes=(2, 2, 2),
                look_at=look_at),
            masker=MASKERS[masker] if isinstance(masker, str) else masker,
            neck=dict(
                type='sbam_mm.MAEDecoder',
                img_size=32,
                patch_size=8,
                embed_dim=24,
                decoder_embed_dim=16,
                decoder_depth=1,
                decoder_num_heads=2),
            head=dict(type='sbam_mm.PixelHead', patch_size=8),
            **options))
    model.init_weights()
    return model


def spread(hidden, side):
    """Tokens (B, 16) as cells or pixels (B, side, side)."""
    return F.interpolate(
        hidden.view(-1, 1, 4, 4).float(), (side, side)).bool()[:, 0]


@pytest.mark.parametrize('thrown', [0, 2])
def test_hidden_pixels_reach_no_visible_cell(thrown):
    backbone = build().backbone
    images = torch.randn(3, 3, 32, 32)
    token_mask = mask_of([12, 9, 5], thrown)
    hidden = ~token_mask.visible
    # Not a number stays one wherever it is added or multiplied.
    poisoned = images.masked_fill(spread(hidden, 32)[:, None], float('nan'))
    grid = hidden.view(-1, 4, 4)
    for clean, other in zip(
            backbone.stages(images, grid), backbone.stages(poisoned, grid)):
        seen = ~spread(hidden, clean.shape[1])
        assert torch.equal(clean[seen], other[seen])
    assert torch.equal(
        backbone.encode(images, token_mask).packed,
        backbone.encode(poisoned, token_mask).packed)


def test_without_the_mask_they_would():
    """The fixture of the test above can tell a leak."""
    backbone = build().backbone
    images = torch.randn(1, 3, 32, 32)
    token_mask = mask_of([12])
    other = images.clone()
    other[spread(token_mask.masked, 32)[:, None].expand_as(images)] = 0.
    seen = ~spread(token_mask.masked, 16)
    first, second = (backbone.stages(x)[0][seen] for x in (images, other))
    assert not torch.allclose(first, second, atol=1e-3)


def test_masked_convolution_is_the_formula():
    """x + W2 (K * (m . W1 LN x)), then the MLP, written with convolutions."""
    torch.manual_seed(0)
    block = MaskedConvBlock(6)
    x, hidden = torch.randn(2, 5, 7, 6), torch.rand(2, 5, 7) < 0.5

    def conv1x1(linear, y):
        return F.conv2d(y, linear.weight[..., None, None], linear.bias)

    def norm(ln, y):
        mean = y.mean(1, keepdim=True)
        var = y.var(1, unbiased=False, keepdim=True)
        weight, bias = (p.view(1, -1, 1, 1) for p in (ln.weight, ln.bias))
        return (y - mean) / (var + 1e-5).sqrt() * weight + bias

    y = x.permute(0, 3, 1, 2)
    shown = (~hidden)[:, None].float()
    mixed = F.conv2d(
        shown * conv1x1(block.proj_in, norm(block.ln1, y)),
        block.depthwise.weight,
        block.depthwise.bias,
        padding=2,
        groups=6)
    y = y + conv1x1(block.proj_out, mixed)
    first, second = block.ffn.layers[0][0], block.ffn.layers[1]
    y = y + conv1x1(second, F.gelu(conv1x1(first, norm(block.ln2, y))))
    torch.testing.assert_close(
        block(x, hidden), y.permute(0, 2, 3, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize('thrown', [0, 2])
def test_equals_a_loop_over_images(thrown):
    model = build()
    images = torch.randn(3, 3, 32, 32)
    token_mask = mask_of([12, 9, 5], thrown)
    weight = torch.randn(3, 16, 192)

    def predict(images, token_mask):
        return model.neck(model.backbone.encode(images, token_mask),
                          token_mask)

    def gradients(predictions):
        kept = predictions * weight * token_mask.masked[..., None]
        params = [p for p in model.parameters() if p.requires_grad]
        return torch.autograd.grad(kept.sum(), params, allow_unused=True)

    together = predict(images, token_mask)
    looped = torch.cat([
        predict(
            images[i:i + 1],
            TokenMask(
                token_mask.masked[i:i + 1],
                None if not thrown else token_mask.thrown[i:i + 1]))
        for i in range(3)
    ])
    masked = token_mask.masked
    torch.testing.assert_close(
        together[masked], looped[masked], rtol=0, atol=1e-5)
    for got, want in zip(gradients(together), gradients(looped)):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_fusion_adds_the_fine_stages_of_the_same_patch():
    model = build()
    backbone, images = model.backbone, torch.randn(2, 3, 32, 32)
    token_mask = mask_of([12, 9])
    fine = backbone.stages(images, token_mask.masked.view(-1, 4, 4))[:2]
    hidden = backbone.encode(images, token_mask)
    for fuse in backbone.fuse:
        torch.nn.init.zeros_(fuse.weight)
        torch.nn.init.zeros_(fuse.bias)
    # With a norm that only scales, what is added can be seen.
    backbone.ln1 = torch.nn.Identity()
    alone = backbone.encode(images, token_mask).to_dense()
    twin = build().backbone
    twin.ln1 = torch.nn.Identity()
    fused = twin.encode(images, token_mask).to_dense()
    added = torch.zeros_like(fused)
    for level, fuse in zip(fine, twin.fuse):
        side = 4 * fuse.kernel_size[0]
        squares = level.view(2, 4, side // 4, 4, side // 4, -1)
        added += torch.einsum('bhiwjc,dcij->bhwd', squares,
                              fuse.weight).flatten(1, 2) + fuse.bias
    seen = token_mask.visible
    torch.testing.assert_close(
        (fused - alone)[seen], added[seen], rtol=0, atol=1e-5)
    assert hidden.layout.shape == (2, 16)


def test_without_a_mask_it_is_a_feature_pyramid():
    backbone, images = build().backbone, torch.randn(2, 3, 32, 32)
    levels = backbone(images)
    assert [level.shape[1:] for level in levels] == [(8, 16, 16), (12, 8, 8),
                                                     (24, 4, 4)]
    for level, stage in zip(levels, backbone.stages(images)[:2]):
        assert torch.equal(level, stage.permute(0, 3, 1, 2))
    # The last level is what the encoder makes without the fused stages.
    for fuse in backbone.fuse:
        torch.nn.init.zeros_(fuse.weight)
        torch.nn.init.zeros_(fuse.bias)
    dense = backbone.encode(images, mask_of([0, 0])).to_dense()
    torch.testing.assert_close(
        levels[2].flatten(2).transpose(1, 2), dense, rtol=0, atol=1e-5)
    # Other sizes than the pre-training's, as in segmentation.
    wide = backbone(torch.randn(1, 3, 32, 48))
    assert [level.shape[2:] for level in wide] == [(16, 24), (8, 12), (4, 6)]


@pytest.mark.parametrize('look_at', ['stage3', 'stage1'])
@pytest.mark.parametrize('masker', MASKERS)
def test_every_parameter_learns(masker, look_at):
    every_parameter_learns(
        build(masker, look_at), torch.randn(4, 3, 32, 32))


@pytest.mark.parametrize('look_at', ['stage3', 'stage1'])
def test_salience_is_that_of_what_is_looked_at(look_at):
    model = build('SBAM', look_at)
    images = torch.randn(2, 3, 32, 32)
    mask = model.mask(model.embed(images), images)
    if look_at == 'stage3':
        seen = model.backbone.tokens(images)
    else:
        cells = model.backbone.merge[0](images.permute(0, 2, 3, 1))
        seen = cells.view(2, 4, 4, 4, 4, 8).mean((2, 4)).flatten(1, 2)
    scores = AffinitySalience()(MaskingContext(seen.detach(), (4, 4)))
    torch.testing.assert_close(mask.scores, scores)


@pytest.mark.parametrize('masker, look_at, passes', [
    ('random', 'stage3', 1), ('block', 'stage3', 1), ('SBAM', 'stage3', 2),
    ('SBAM', 'stage1', 1), ('SBAM at block 1', 'stage3', 2),
    ('own attention', 'stage3', 2)
])
def test_only_token_salience_pays_for_a_second_pass(masker, look_at, passes):
    model = build(masker, look_at)
    calls = []
    model.backbone.convs[0][0].register_forward_hook(
        lambda *_: calls.append(1))
    model.loss(torch.randn(2, 3, 32, 32))
    assert len(calls) == passes


def test_momentum_teacher_answers():
    masker = dict(ALL_QUERIES)
    masker['salience'] = dict(masker['salience'], source='teacher')
    model = build(masker, teacher=dict(type='sbam_mm.MomentumTeacher'))
    images = torch.randn(2, 3, 32, 32)
    model.loss(images)  # the first step copies the student
    own = model.backbone.attention(model.backbone.tokens(images), -1)
    mask = model.mask(model.embed(images), images)
    torch.testing.assert_close(mask.scores, masking.min_max(own.mean(1)))


@pytest.mark.parametrize('options', [
    dict(masker=dict(type='sbam_mm.AttMask', source='self')),
    dict(
        masker=dict(type='sbam_mm.AttMask', source='teacher'),
        teacher=dict(type='sbam_mm.MomentumTeacher')),
])
def test_class_token_is_refused_when_built(options):
    with pytest.raises(ValueError, match="queries='all'"):
        build(**options)


def test_pictures():
    model = build('SBAM')
    images = torch.randn(2, 3, 32, 32)
    token_mask = mask_of([12, 9])
    result = model.reconstruct(images, token_mask)
    assert result.images.shape == images.shape
    latent = model.backbone.encode(images, token_mask)
    want = model.head.to_images(model.neck(latent, token_mask), images)
    torch.testing.assert_close(result.images, want)
