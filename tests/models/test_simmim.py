# Copyright (c) OpenMMLab. All rights reserved.
"""SimMIM with any masker: official numbers, and in place = a plain loop."""

import golden_files
import pytest
import tiny_configs
import torch

from sbam_mm.layers import received_attention
from sbam_mm.masking import AMT, MaskingContext, RandomMasker, TokenMask
from sbam_mm.models import patchify, unpatchify
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
GOLDEN = golden_files.load('simmim')
POSITIONS = {
    'ape': dict(type='sbam_mm.MaskedViT', learned_position=True),
    'rpb': dict(type='sbam_mm.MaskedBEiT'),
}
CELLS = dict(rounding='floor', cell=2)


class Fixed(torch.nn.Module):
    """A masker whose answer is given."""
    uniform, needs = False, frozenset()

    def __init__(self, token_mask):
        super().__init__()
        self.token_mask = token_mask

    def forward(self, context: MaskingContext) -> TokenMask:
        return self.token_mask


def build(masker=None,
          position='ape',
          img_size=32,
          patch_size=8,
          arch=None,
          **backbone):
    torch.manual_seed(0)
    arch = arch or tiny_configs.ARCH
    model = MODELS.build(
        dict(
            type='sbam_mm.SimMIM',
            backbone=dict(
                POSITIONS[position],
                arch=arch,
                img_size=img_size,
                patch_size=patch_size,
                **backbone),
            masker=masker,
            neck=dict(
                type='sbam_mm.LinearDecoder',
                embed_dim=arch['embed_dims'],
                patch_size=patch_size),
            head=dict(
                type='sbam_mm.PixelHead',
                patch_size=patch_size,
                norm_pix=False,
                criterion='L1')))
    model.init_weights()
    with torch.no_grad():
        for p in model.parameters():  # biases and tables of zeros show nothing
            p.add_(0.1 * torch.randn_like(p))
    return model


def pixels_first(weight):
    """Outputs over channels, rows, columns -> over rows, columns, channels."""
    weight = weight.view(3, -1, *weight.shape[1:2])
    return weight.transpose(0, 1).flatten(0, 1)


def our_weights(position):
    """The official weights under our names."""
    prefix = f'model_{position}/sd/'
    official = {
        key[len(prefix):]: value
        for key, value in GOLDEN.items() if key.startswith(prefix)
    }
    ours = {}
    for name, value in official.items():
        name = name.removeprefix('encoder.')
        if name == 'mask_token':
            ours[name] = value
        elif name.startswith('decoder.0.'):
            ours[name.replace('decoder.0', 'neck.decoder')] = (
                pixels_first(value))
        elif name.startswith('rel_pos_bias') or 'gamma' in name:
            ours['backbone.' + name.replace('blocks', 'layers')] = value
        elif position == 'ape' and name.endswith('q_bias'):
            other = official[f'encoder.{name}'.replace('q_bias', 'v_bias')]
            ours[golden_files.our_name(name).replace('q_bias', 'qkv.bias')] = (
                torch.cat([value, torch.zeros_like(value), other]))
        elif position == 'rpb' or not name.endswith('v_bias'):
            ours[golden_files.our_name(name)] = value
    return ours


def official(position, masker=None):
    cfg = {
        key.split('/')[-1]: int(value)
        for key, value in GOLDEN.items()
        if key.startswith(f'model_{position}/cfg/')
    }
    dim = cfg['embed_dim']
    masker = masker or Fixed(
        TokenMask(GOLDEN[f'model_{position}/mask'].flatten(1)))
    model = build(
        masker,
        position,
        cfg['img_size'],
        cfg['patch_size'],
        arch=dict(
            embed_dims=dim,
            num_layers=cfg['depth'],
            num_heads=cfg['num_heads'],
            feedforward_channels=cfg['mlp_ratio'] * dim))
    model.load_state_dict(our_weights(position), strict=True)
    return model


def latent_of(model, images, mask):
    backbone = model.backbone
    return backbone.encode_in_place(
        backbone.embed(images), mask, model.mask_token, backbone.grid(images))


def loss_and_gradients(model, images, mask):
    model.zero_grad()
    model.masker = Fixed(mask)
    loss = model.loss(images)['loss']
    loss.backward()
    return loss.detach(), {
        name: p.grad.clone()
        for name, p in model.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize('position', POSITIONS)
def test_equals_official_simmim(position):
    model = official(position)
    golden = {
        key.split('/', 1)[1]: value
        for key, value in GOLDEN.items()
        if key.startswith(f'model_{position}/')
    }
    mask = model.masker.token_mask
    close = dict(rtol=1e-5, atol=1e-5)
    latent = latent_of(model, golden['images'], mask).to_dense()
    torch.testing.assert_close(
        latent[:, 1:], golden['encoder_out'].flatten(2).transpose(1, 2),
        **close)
    torch.testing.assert_close(
        model.reconstruct(golden['images'], mask).images, golden['recon'],
        **close)
    loss = model.loss(golden['images'])['loss']
    torch.testing.assert_close(loss, golden['loss'], rtol=1e-5, atol=0)
    loss.backward()
    for key, gradient in (
        ('mask_token', model.mask_token.grad),
        ('patch_embed.proj.weight',
         model.backbone.patch_embed.projection.weight.grad),
        ('decoder.0.weight', model.neck.decoder.weight.grad),
    ):
        prefix = '' if key.startswith('decoder') else 'encoder.'
        want = golden[f'grad/{prefix}{key}']
        if prefix == '':
            want = pixels_first(want)
        torch.testing.assert_close(
            gradient, want, rtol=1e-5, atol=1e-5 * want.abs().max().item())


@pytest.mark.parametrize('case', range(3))
def test_random_squares_equal_the_official_generator(case):
    """The first squares of a permutation, ceil(squares x ratio) of them."""
    size, square, patch, ratio = GOLDEN['gen/params'][case].tolist()
    side = int(size // patch)
    masker = RandomMasker(
        ratio, rounding='floor', cell=int(square // patch))
    orders = GOLDEN[f'gen/c{case}/perm'].long()
    number = orders.shape[1]
    rank = torch.argsort(orders, dim=1)
    noise = 1 - (rank + 1) / (number + 1)
    context = MaskingContext(
        torch.zeros(len(orders), side**2, 4), grid=(side, side))
    mask = masker(context, noise)
    assert torch.equal(mask.masked,
                       GOLDEN[f'gen/c{case}/masks'].bool().flatten(1))
    squares = int(GOLDEN[f'gen/c{case}/mask_count'])
    cell = int(square // patch)
    assert mask.num_visible == (number - squares) * cell**2


def random_mask(thrown):
    torch.manual_seed(1)
    masked = torch.rand(4, 16) < torch.tensor([[.3], [.5], [.7], [.9]])
    masked[:, 0], masked[:, 1] = True, False
    away = None
    if thrown:
        away = ~masked & (torch.rand(4, 16) < .5)
        away[:, 1] = False
        counts = away.sum(1).tolist()
        assert len(set(counts)) > 1  # the images are not equally long
    return TokenMask(masked, away)


@pytest.mark.parametrize('thrown', [False, True])
@pytest.mark.parametrize('position', POSITIONS)
def test_equals_a_loop_over_images(position, thrown):
    """Loss and gradients of images with their own counts, one at a time."""
    model, images = build(position=position), torch.randn(4, 3, 32, 32)
    mask = random_mask(thrown)
    loss, grads = loss_and_gradients(model, images, mask)
    weights = mask.masked.sum(1) / mask.masked.sum()
    total, expected = 0, dict.fromkeys(grads, 0.)
    for i in range(4):
        one = slice(i, i + 1)
        single = TokenMask(mask.masked[one],
                           mask.thrown[one] if thrown else None)
        part, g = loss_and_gradients(model, images[one], single)
        total = total + weights[i] * part
        for name in g:
            expected[name] = expected[name] + weights[i] * g[name]
    torch.testing.assert_close(loss, total, rtol=1e-5, atol=1e-6)
    for name in grads:
        torch.testing.assert_close(
            grads[name], expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('position', POSITIONS)
def test_in_place_is_what_the_paper_says(position):
    """Replace embeddings, add positions, run mmpretrain's own layers."""
    model, images = build(position=position), torch.randn(4, 3, 32, 32)
    vit, mask = model.backbone, random_mask(thrown=True)
    latent = latent_of(model, images, mask).to_dense()
    for i in range(4):
        embedded = vit.patch_embed(images[i:i + 1])[0]
        embedded[mask.masked[i:i + 1]] = model.mask_token[0, 0]
        x = torch.cat([vit.cls_token, embedded], dim=1)
        keep = torch.cat([torch.tensor([True]), ~mask.thrown[i]])
        if position == 'ape':
            x = (x + vit.pos_embed)[:, keep]
            for layer in vit.layers:
                x = layer(x)
        else:
            x, bias = x[:, keep], vit.rel_pos_bias()[:, keep][:, :, keep]
            for layer in vit.layers:
                x = layer(x, bias)
        torch.testing.assert_close(
            latent[i, keep], vit.ln1(x)[0], rtol=0, atol=1e-5)
        assert not latent[i, ~keep].any()


@pytest.mark.parametrize('position', POSITIONS)
def test_masked_pixels_reach_only_the_target(position):
    model, images = build(position=position), torch.randn(2, 3, 32, 32)
    mask = TokenMask(torch.rand(2, 16) < 0.6)
    before = latent_of(model, images, mask).packed
    patches = patchify(images, 8)
    patches[mask.masked] = 7.
    changed = unpatchify(patches, (4, 4), 8)
    assert torch.equal(before, latent_of(model, changed, mask).packed)


@pytest.mark.parametrize('position', POSITIONS)
def test_thrown_tokens_are_never_seen(position):
    model, images = build(position=position), torch.randn(4, 3, 32, 32)
    mask = random_mask(thrown=True)
    before = loss_and_gradients(model, images, mask)
    patches = patchify(images, 8)
    patches[mask.thrown] = 100.
    after = loss_and_gradients(model, unpatchify(patches, (4, 4), 8), mask)
    assert torch.equal(before[0], after[0])
    assert all(torch.equal(before[1][n], after[1][n]) for n in before[1])


def test_loss_by_hand():
    """sum(|x - y| mask) / (sum(mask) + 1e-5) / 3 over all pixels."""
    model, images = build(), torch.randn(4, 3, 32, 32)
    mask = random_mask(thrown=False)
    model.masker = Fixed(mask)
    predicted = model.reconstruct(images, mask).images
    pixels = mask.masked.float().view(4, 1, 4, 4)
    pixels = pixels.repeat_interleave(8, 2).repeat_interleave(8, 3)
    by_hand = ((images - predicted).abs() *
               pixels).sum() / (pixels.sum() + 1e-5) / 3
    torch.testing.assert_close(
        model.loss(images)['loss'], by_hand, rtol=1e-6, atol=0)


MASKERS = {
    'random squares': None,
    'random': dict(type='sbam_mm.RandomMasker'),
    'SBAM': dict(type='sbam_mm.SBAM', ratio=0.6),
    'SBM': dict(type='sbam_mm.SBM'),
    'AttMask': dict(
        type='sbam_mm.AttMask', source='self', probability=1.),
    'AM': dict(type='sbam_mm.AM', ratio=0.6, warm_up_ratio=0.6, **CELLS),
    'AMT': dict(
        type='sbam_mm.AMT', ratio=0.3, throw=0.3, warm_up_ratio=0.6,
        **CELLS),
    'block': dict(type='sbam_mm.BlockMasker'),
}


@pytest.mark.parametrize('masker', MASKERS)
@pytest.mark.parametrize('position', POSITIONS)
def test_every_masker_trains_every_parameter(position, masker):
    model = build(MASKERS[masker], position)
    out = model(
        torch.randn(2, 3, 32, 32), tiny_configs.stored_maps(), mode='loss')
    total, logs = model.parse_losses(out)
    assert total == out['loss'] and total > 0
    assert 'mask_ratio' in logs
    total.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name
        assert p.grad.any(), name


def test_amt_leaves_144_tokens_of_196():
    """12 x 12 tokens in the encoder: 14 visible and 22 masked squares."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 14 * 14, generator=generator)
    masker = AMT(ratio=0.44, throw=0.26, warm_up_ratio=0.6, **CELLS)
    context = MaskingContext(
        torch.zeros(3, 196, 4),
        grid=(14, 14),
        providers=dict(attention_map=lambda: maps))
    mask = masker(context)
    assert (mask.masked.sum(1) == 22 * 4).all()
    assert (mask.thrown.sum(1) == 13 * 4).all()
    assert ((~mask.thrown).sum(1) == 144).all()
    assert mask.num_visible == 14 * 4
    early = masker(
        MaskingContext(
            torch.zeros(3, 196, 4),
            grid=(14, 14),
            providers=dict(attention_map=lambda: None)))
    # As many as SimMIM's own masks: ceil(49 x 0.6) = 30 squares.
    assert (early.masked.sum(1) == 30 * 4).all() and early.thrown is None


def test_fused_equals_mmpretrains_beit():
    """The same keys and features as mmpretrain's BEiTViT."""
    from mmpretrain.models import BEiTViT
    ours = build(position='rpb').backbone
    theirs = BEiTViT(
        ours.arch_settings,
        img_size=32,
        patch_size=8,
        out_type='raw',
        final_norm=True,
        use_rel_pos_bias=False,
        use_shared_rel_pos_bias=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images = torch.randn(2, 3, 32, 32)
    nothing = TokenMask(torch.zeros(2, 16, dtype=torch.bool), num_visible=16)
    features = theirs(images)[0]
    for latent in (ours.encode(ours.embed(images), nothing),
                   ours.encode_in_place(
                       ours.embed(images), nothing,
                       torch.full((1, 1, 24), torch.nan), (4, 4))):
        torch.testing.assert_close(
            latent.to_dense(), features, rtol=0, atol=1e-5)


@pytest.mark.parametrize('queries', ['cls', 'patches', 'all'])
@pytest.mark.parametrize('softmax', [False, True])
@pytest.mark.parametrize('own_query', [False, True])
def test_attention_with_relative_positions(queries, softmax, own_query):
    """What is received, from the whole matrix of mmpretrain's formula."""
    vit = build(position='rpb').backbone
    attn, bias = vit.layers[0].attn, vit.rel_pos_bias()
    x = torch.randn(2, 17, 24)
    weight = attn.qkv.weight
    q, k = (
        (x @ w.T + b).unflatten(-1, (3, 8)).transpose(1, 2)
        for w, b in zip(weight.chunk(3)[:2], (attn.q_bias, 0.)))
    matrix = q @ k.transpose(2, 3) * 8**-0.5 + bias
    matrix = matrix.softmax(-1) if softmax else matrix
    if queries == 'cls':
        want = matrix[:, :, 0]
    else:
        if not own_query:
            matrix = matrix - torch.diag_embed(
                matrix.diagonal(dim1=2, dim2=3))
        want = matrix[:, :, int(queries == 'patches'):].sum(2)
    got = received_attention(attn, x, queries, softmax, own_query, bias)
    torch.testing.assert_close(got, want.detach(), rtol=1e-4, atol=1e-5)


def test_momentum_teacher_of_a_beit():
    """AttMask's teacher is a copy of the student, relative bias included."""
    model = MODELS.build(
        dict(
            type='sbam_mm.SimMIM',
            backbone=dict(
                POSITIONS['rpb'], arch=tiny_configs.ARCH,
                **tiny_configs.SIZE),
            masker=dict(type='sbam_mm.AttMask'),
            neck=dict(
                type='sbam_mm.LinearDecoder', embed_dim=24, patch_size=8),
            head=dict(
                type='sbam_mm.PixelHead',
                patch_size=8,
                norm_pix=False,
                criterion='L1'),
            teacher=dict(type='sbam_mm.MomentumTeacher')))
    model.init_weights()
    images = torch.randn(2, 3, 32, 32)
    model.train()
    model.follow_student()
    own = model.backbone.attention(model.backbone.embed(images), -1)
    torch.testing.assert_close(
        model.teacher.attention(images, (4, 4), -1), own)
    assert torch.isfinite(model.loss(images)['loss'])


def test_stochastic_depth_with_a_ratio_per_image():
    """Nothing leaves the sequence, so images stay whole."""
    model = build(
        dict(type='sbam_mm.SBAM', ratio=0.6),
        'rpb',
        drop_path_rate=0.5)
    assert torch.isfinite(model.loss(torch.randn(2, 3, 32, 32))['loss'])


def test_stochastic_depth_drops_whole_images():
    model = build(position='rpb', drop_path_rate=0.999).train()
    images = torch.randn(8, 3, 32, 32)
    mask = TokenMask(torch.zeros(8, 16, dtype=torch.bool))
    torch.manual_seed(0)
    latent = latent_of(model, images, mask).to_dense()
    first = model.backbone.layers[:1]
    torch.manual_seed(0)
    model.backbone.layers = first
    alone = latent_of(model, images, mask).to_dense()
    # The first block is never dropped, the last one here almost always.
    same = torch.isclose(latent, alone).flatten(1).all(1)
    assert same.sum() >= 7


@pytest.mark.parametrize('change, words', [
    (dict(patch_size=7), 'do not tile'),
    (dict(position='rpb', patch_size=7), 'do not tile'),
])
def test_bad_input_gets_a_sentence(change, words):
    with pytest.raises(ValueError, match=words):
        build(**change)


def test_relative_positions_know_one_image_size():
    with pytest.raises(ValueError, match='set backbone.img_size'):
        build(position='rpb').loss(torch.randn(1, 3, 48, 48))


def test_squares_that_do_not_tile():
    with pytest.raises(ValueError, match='do not tile a grid of 3 x 3'):
        build(img_size=24).loss(torch.randn(1, 3, 24, 24))
