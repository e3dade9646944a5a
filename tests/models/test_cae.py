# Copyright (c) OpenMMLab. All rights reserved.
"""CAE against mmpretrain's where numbers are equal, and a loop elsewhere."""
import re

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import CAENeck, CAEPretrainViT, DALLEEncoder
from short_trainings import every_parameter_learns, mask_of

from sbam_mm.layers import PackedLayout, packed_attention
from sbam_mm.masking import TokenMask
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit

ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=96)
SIZE = dict(img_size=32, patch_size=8)
SCALE = dict(layer_scale_init_value=0.1)
MASKERS = {
    'random': dict(type='sbam_mm.RandomMasker', ratio=0.5),
    'block': dict(type='sbam_mm.BlockMasker', ratio=0.5, min_area=2),
    'SBAM': dict(type='sbam_mm.SBAM', ratio=0.5),
    'AttMask': dict(type='sbam_mm.AttMask', source='self'),
}


def build(masker='random', head=None, out_dims=192, **options):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='sbam_mm.CAE',
            backbone=dict(
                type='sbam_mm.MaskedViT', arch=ARCH, layer_cfgs=SCALE, **SIZE),
            masker=MASKERS[masker],
            neck=dict(
                type='sbam_mm.ContextRegressor',
                embed_dims=24,
                num_heads=3,
                regressor_depth=2,
                decoder_depth=2,
                out_dims=out_dims),
            head=head or dict(type='sbam_mm.PixelHead', patch_size=8),
            **options))
    model.init_weights()
    return model


def one(token_mask, i):
    thrown = token_mask.thrown
    return TokenMask(token_mask.masked[i:i + 1],
                     None if thrown is None else thrown[i:i + 1])


def randomize(module):
    """Weights none of which is 0 or 1."""
    generator = torch.Generator().manual_seed(2)
    for param in module.parameters():
        param.data += 0.1 * torch.randn(param.shape, generator=generator)
    return module


def from_beit(state, ours):
    """mmpretrain's CAE weights under our names."""
    renamed, biases = {}, {}
    for name, value in state.items():
        block = re.match(r'(.*)\.attn\.([qv])_bias$', name)
        if block:
            biases.setdefault(f'{block[1]}.attn.qkv.bias',
                              {})[block[2]] = value
            continue
        name = re.sub(r'((?:layers|decoders)\.\d+)\.gamma_1$',
                      r'\1.attn.gamma1.weight', name)
        name = re.sub(r'((?:layers|decoders)\.\d+)\.gamma_2$',
                      r'\1.ffn.gamma2.weight', name)
        renamed[name] = value
    for name, bias in biases.items():
        renamed[name] = torch.cat(
            [bias['q'], torch.zeros_like(bias['q']), bias['v']])
    report = ours.load_state_dict(renamed, strict=True)
    assert not report.missing_keys
    return ours


def test_equals_mmpretrain_where_numbers_are_equal():
    """Encoder, regressor and decoder, with every weight of mmpretrain's."""
    model = build()
    torch.manual_seed(3)
    encoder = randomize(
        CAEPretrainViT(
            ARCH, bias='qv_bias', layer_scale_init_value=0.1, **SIZE))
    neck = randomize(
        CAENeck(
            192,
            24,
            2,
            2,
            num_heads=3,
            layer_scale_init_value=0.1,
            mask_tokens_num=9))
    from_beit(encoder.state_dict(), model.backbone)
    from_beit(neck.state_dict(), model.neck)

    images = torch.randn(3, 3, 32, 32)
    token_mask = mask_of([9, 9, 9])
    masked = token_mask.masked
    visible = encoder(images, masked)
    position = encoder.pos_embed[:, 1:].expand(3, -1, -1)
    prediction, latent = neck(visible[:, 1:],
                              position[masked].view(3, 9, -1),
                              position[~masked].view(3, 7, -1))

    tokens = model.backbone.embed(images)
    ours = model.backbone.encode(tokens, token_mask)
    torch.testing.assert_close(
        ours.packed.view(3, 8, -1), visible, rtol=0, atol=1e-5)
    out = model.regress(tokens, token_mask, images)
    torch.testing.assert_close(
        out.latent.packed.view(3, 9, -1), latent, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        out.prediction.packed.view(3, 9, -1), prediction, rtol=0, atol=1e-5)
    target = model.masked_latent(tokens, token_mask, images)
    torch.testing.assert_close(
        target[masked].view(3, 9, -1),
        encoder(images, ~masked)[:, 1:],
        rtol=0,
        atol=1e-5)


@pytest.mark.parametrize('thrown', [0, 2])
@pytest.mark.parametrize('counts', [[12, 9, 5], [3, 0, 8], [6, 6, 6]])
def test_equals_a_loop_over_images(counts, thrown):
    model = randomize(build())
    images, token_mask = torch.randn(3, 3, 32, 32), mask_of(counts, thrown)
    weight = torch.randn(3, 16, 192)
    params = [p for p in model.parameters() if p.requires_grad]

    def run(images, token_mask):
        tokens = model.backbone.embed(images)
        out = model.regress(tokens, token_mask, images)
        target = model.masked_latent(tokens, token_mask, images)
        return (out.prediction.to_dense(), out.latent.to_dense(), target)

    def gradients(prediction, latent, target):
        error = (latent - target)[token_mask.masked].square().sum()
        return torch.autograd.grad((prediction * weight).sum() + error, params)

    together = run(images, token_mask)
    looped = [
        torch.cat(parts) for parts in zip(*(
            run(images[i:i + 1], one(token_mask, i)) for i in range(3)
            if counts[i]))
    ]
    some = torch.tensor(counts) > 0
    masked = token_mask.masked[some]
    for got, want in zip(together, looped):
        torch.testing.assert_close(
            got[some][masked], want[masked], rtol=0, atol=1e-5)
    if some.all():
        for got, want in zip(gradients(*together), gradients(*looped)):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_hidden_pixels_reach_targets_only():
    model, token_mask = build(), mask_of([12, 9, 5], 2)
    images = torch.randn(3, 3, 32, 32)
    hidden = F.interpolate((~token_mask.visible).view(3, 1, 4, 4).float(),
                           (32, 32)).bool()
    other = torch.where(hidden, torch.randn_like(images), images)
    outs = [
        model.regress(model.backbone.embed(x), token_mask, x)
        for x in (images, other)
    ]
    for part in ('latent', 'prediction'):
        first, second = (getattr(out, part).packed for out in outs)
        assert torch.equal(first, second)
    first, second = (
        model.masked_latent(model.backbone.embed(x), token_mask, x)
        for x in (images, other))
    assert not torch.allclose(first, second, atol=1e-3)


def test_losses_are_the_paper_s():
    """Mean over masked patches of both errors, the alignment twice."""
    model = build('SBAM')
    images = torch.randn(3, 3, 32, 32)
    torch.manual_seed(5)
    out = model.loss(images)
    torch.manual_seed(5)
    tokens = model.backbone.embed(images)
    token_mask = model.mask(tokens, images)
    assert len(set(token_mask.visible_counts.tolist())) > 1
    regression = model.regress(tokens, token_mask, images)
    pixels, latents = [], []
    for i in range(3):
        masked = token_mask.masked[i]
        target = model.head.target(images)[i][masked]
        got = regression.prediction.to_dense()[i][masked]
        pixels.append((got - target).square().mean(1))
        alone = model.backbone.encode(
            tokens[i:i + 1], TokenMask(~masked[None])).packed[1:]
        got = regression.latent.to_dense()[i][masked]
        latents.append((got - alone).square().mean(1))
    main, align = torch.cat(pixels).mean(), 2 * torch.cat(latents).mean()
    torch.testing.assert_close(out['reconstruction'], main)
    torch.testing.assert_close(out['alignment'], align)
    torch.testing.assert_close(out['loss'], main + align)
    total, _ = model.parse_losses(out)
    torch.testing.assert_close(total, main + align)


@pytest.mark.parametrize('target', [None, 0.9])
@pytest.mark.parametrize('masker', MASKERS)
def test_every_parameter_learns(masker, target):
    options = {} if target is None else dict(
        target=dict(type='sbam_mm.MomentumTeacher', momentum=target))
    model = build(masker, **options)
    every_parameter_learns(model, torch.randn(4, 3, 32, 32))


def test_target_encoder_follows_the_student():
    model = build(target=dict(type='sbam_mm.MomentumTeacher', momentum=0.9))
    images, token_mask = torch.randn(2, 3, 32, 32), mask_of([9, 5])
    model.loss(images)
    before = [p.clone() for p in model.backbone.parameters()]
    tokens = model.backbone.embed(images)
    own = build().masked_latent(tokens, token_mask, images)
    torch.testing.assert_close(
        model.masked_latent(tokens, token_mask, images), own)
    randomize(model.backbone)
    model.loss(images)
    for old, new, got in zip(before, model.backbone.parameters(),
                             model.target.vit.parameters()):
        torch.testing.assert_close(got, 0.9 * old + 0.1 * new)


def test_gradient_reaches_the_target_nowhere():
    model, token_mask = build(), mask_of([9, 5])
    tokens = model.backbone.embed(torch.randn(2, 3, 32, 32))
    target = model.masked_latent(tokens, token_mask, None)
    assert not target.requires_grad


@pytest.fixture
def dalle(tmp_path):
    """A tokenizer of 192 words in a file, as users have the real one."""
    torch.manual_seed(4)
    options = dict(n_hid=8, n_blk_per_group=1, vocab_size=192)
    tokenizer = DALLEEncoder(**options)
    path = tmp_path / 'dalle_encoder.pth'
    torch.save(dict(state_dict=tokenizer.state_dict()), path)
    head = dict(
        type='sbam_mm.DalleHead', checkpoint=str(path), tokenizer=options)
    return tokenizer, head


def test_dalle_tokens_are_the_target(dalle):
    tokenizer, head = dalle
    model = build('SBAM', head)
    images, small = torch.randn(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    torch.manual_seed(5)
    out = model.loss([images, small])
    torch.manual_seed(5)
    tokens = model.backbone.embed(images)
    token_mask = model.mask(tokens, images)
    logits = model.regress(tokens, token_mask, images).prediction.to_dense()
    words = tokenizer(small).argmax(1).flatten(1)
    want = F.cross_entropy(logits[token_mask.masked],
                           words[token_mask.masked])
    torch.testing.assert_close(out['reconstruction'], want)
    out['loss'].backward()
    assert all(p.grad is None for p in model.head.parameters())
    with pytest.raises(ValueError, match='predicts no pixels'):
        model.reconstruct(images)


def test_pixels_are_those_the_encoder_sees(dalle):
    """Also where the pipeline makes a second picture, for a tokenizer."""
    model = build()
    images, small = torch.randn(3, 3, 32, 32), torch.rand(3, 3, 16, 16)
    outs = []
    for inputs in (images, [images, small]):
        torch.manual_seed(5)
        outs.append(model.loss(inputs))
    assert torch.equal(outs[0]['loss'], outs[1]['loss'])
    with pytest.raises(ValueError, match='wants a second picture'):
        build(head=dalle[1]).loss(images)


def test_pixels_want_their_number_of_values():
    with pytest.raises(ValueError, match='set model.neck.out_dims=192'):
        build(out_dims=8192)


def test_tokenizer_must_be_there_and_whole(dalle, tmp_path):
    tokenizer, head = dalle
    with pytest.raises(ValueError, match='PixelHead'):
        build(head=dict(head, checkpoint=str(tmp_path / 'missing.pth')))
    state = tokenizer.state_dict()
    state.popitem()
    torch.save(state, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match='fewer than'):
        build(head=dict(head, checkpoint=str(tmp_path / 'part.pth')))


def test_target_images_must_fit_the_patches(dalle):
    model = build(head=dalle[1])
    with pytest.raises(ValueError, match='8 pixels per patch'):
        model.loss([torch.randn(2, 3, 32, 32), torch.rand(2, 3, 16, 16)])


def test_pictures():
    model, images = build(), torch.randn(2, 3, 32, 32)
    token_mask = mask_of([9, 5])
    result = model.reconstruct(images, token_mask)
    tokens = model.backbone.embed(images)
    prediction = model.regress(tokens, token_mask, images).prediction
    want = model.head.to_images(prediction.to_dense(), images)
    torch.testing.assert_close(result.images, want)


@pytest.mark.parametrize('counts', [[3, 7, 0, 7], [4, 4, 4, 4]])
def test_cross_attention_equals_a_loop(counts):
    torch.manual_seed(0)
    queries = mask_of(counts).masked
    keep = torch.rand(4, 5) < 0.6
    keep[:, 0] = True
    layout = PackedLayout(queries)
    q = torch.randn(4, 16, 2, 8)
    k, v = torch.randn(2, 4, 5, 2, 8)
    keys = layout.beside(keep)
    out = packed_attention(
        *(each.pack(x.flatten(2)).unflatten(-1, (2, 8))
          for each, x in ((layout, q), (keys, k), (keys, v))), layout,
        keys=keys)
    dense = layout.unpack(out.flatten(1), torch.zeros(())).unflatten(
        -1, (2, 8))
    for i in range(4):
        logits = torch.einsum('qhd,khd->hqk', q[i][queries[i]],
                              k[i][keep[i]]) / 8**.5
        want = torch.einsum('hqk,khd->qhd', logits.softmax(-1),
                            v[i][keep[i]])
        torch.testing.assert_close(
            dense[i][queries[i]], want, rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_cross_attention_kernel_equals_the_fallback():
    torch.manual_seed(0)
    queries = mask_of([3, 9, 12, 9]).masked.cuda()
    layout = PackedLayout(queries)
    q = torch.randn(len(layout.index), 4, 64, device='cuda')
    k, v = torch.randn(2, 4, 16, 4, 64, device='cuda')
    keys = PackedLayout.whole(k, layout.order)
    k, v = (keys.pack(x.flatten(2)).unflatten(-1, (4, 64)) for x in (k, v))
    want = packed_attention(q, k, v, layout, keys=keys)
    got = packed_attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), layout,
                           keys=keys)
    torch.testing.assert_close(got.float(), want, rtol=2e-2, atol=2e-2)
