# Copyright (c) OpenMMLab. All rights reserved.
"""CrossMAE's decoder against its formulas, and against single images."""
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from sbam_mm.layers import PackedLayout
from sbam_mm.layers.compiled import compile_layers
from sbam_mm.masking import TokenMask
from sbam_mm.models import CrossDecoder, MaskedViT, patchify
from sbam_mm.models.necks.cross_decoder import some_of
from sbam_mm.registry import MODELS
from sbam_mm.run_switches import exact

CONFIGS = Path(__file__).parents[2] / 'configs/crossmae'
pytestmark = pytest.mark.unit
SIZE = dict(img_size=32, patch_size=8)
ALL = ('input', 0, 1)
MEMORIES = pytest.mark.parametrize('looks_at', [(), ALL],
                                   ids=['last', 'inter-block'])


@pytest.fixture
def crossmae(tiny_mae):
    """Return a builder of a small CrossMAE, a block deeper than its MAE."""

    def build(masker='RandomMasker', looks_at=ALL, prediction=1., **options):
        neck = dict(
            type='sbam_mm.CrossDecoder',
            decoder_depth=3,
            looks_at=looks_at,
            prediction=prediction,
            with_cp=options.pop('with_cp', False))
        return tiny_mae(masker, neck=neck, **options)

    return build


def unequal_mask(thrown=False):
    """Five images that hide 5 to 14 of 16 patches, and one that hides none."""
    torch.manual_seed(3)
    order = torch.rand(6, 16).argsort(dim=1)
    masked = order < torch.tensor([12, 5, 14, 0, 9, 12])[:, None]
    gone = masked & (order % 3 == 0) if thrown else None
    return TokenMask(masked if gone is None else masked & ~gone, gone)


def encoded(model, images, mask):
    return model.encode(model.embed(images), mask, images)


def gradients(model):
    return {
        name: p.grad.clone()
        for name, p in model.named_parameters() if p.grad is not None
    }


def assert_same_gradients(found, wanted):
    assert found.keys() == wanted.keys()
    for name, want in wanted.items():
        torch.testing.assert_close(
            found[name], want, rtol=1e-4,
            atol=1e-5 * want.abs().max().item() + 1e-9)


@MEMORIES
@pytest.mark.parametrize('thrown', [False, True])
def test_equal_to_a_loop_over_images(crossmae, looks_at, thrown):
    model, images = crossmae(looks_at=looks_at), torch.randn(6, 3, 32, 32)
    mask = unequal_mask(thrown)
    some = model.neck.predict_masked(encoded(model, images, mask), mask)
    assert not some.layout.uniform
    some.packed.square().sum().backward()
    together = some.layout.unpack(some.packed, torch.zeros(()))
    found = gradients(model)
    model.zero_grad()
    for i, image in enumerate(images.split(1)):
        one = TokenMask(mask.masked[i:i + 1],
                        mask.thrown[i:i + 1] if thrown else None)
        alone = model.neck.predict_masked(encoded(model, image, one), one)
        alone.packed.square().sum().backward()
        torch.testing.assert_close(
            together[i][mask.masked[i]], alone.packed, rtol=1e-4, atol=1e-6)
    assert_same_gradients(found, gradients(model))


def dense(decoder, latent, positions):
    """The paper's formulas, for one image and the rows of its queries."""
    heads, dim = 2, 16
    if decoder.looks_at:
        memories = [
            F.layer_norm(
                sum(w * f for w, f in zip(weights, latent.blocks)), (24, ),
                norm.weight, norm.bias, 1e-6) for weights, norm in zip(
                    decoder.inter_block.weight, decoder.memory_norms)
        ]
    else:
        memories = [latent.packed] * 3
    x = decoder.mask_token[0] + positions
    for block, y in zip(decoder.decoder_blocks, memories):
        attn, (first, second) = block.attn, (block.ffn.layers[0][0],
                                             block.ffn.layers[1])
        normed = F.layer_norm(x, (dim, ), block.ln1.weight, block.ln1.bias,
                              1e-6)
        q, k, v = (z.view(len(z), heads, -1).transpose(0, 1) for z in (
            attn.q(normed), attn.k(y), attn.v(y)))
        weights = (q @ k.mT / (dim / heads)**.5).softmax(-1)
        x = x + attn.proj((weights @ v).transpose(0, 1).flatten(1))
        normed = F.layer_norm(x, (dim, ), block.ln2.weight, block.ln2.bias,
                              1e-6)
        x = x + second(F.gelu(first(normed)))
    return decoder.decoder_pred(decoder.decoder_norm(x))


@MEMORIES
def test_equal_to_the_formulas(crossmae, looks_at):
    model = crossmae(looks_at=looks_at)
    for parameter in model.parameters():
        if parameter.dim() == 1:  # norms and biases that do something
            parameter.data.normal_()
    mask = TokenMask(torch.rand(1, 16) < .6)
    latent = encoded(model, torch.randn(1, 3, 32, 32), mask)
    assert (latent.packed.shape[0] == 1 + mask.visible.sum()
            ), 'the class token is looked at, too'
    positions = model.neck.decoder_pos_embed[0, 1:]
    every = model.neck(latent, mask)[0]
    torch.testing.assert_close(
        every, dense(model.neck, latent, positions), rtol=1e-4, atol=1e-5)
    some = model.neck.predict_masked(latent, mask)
    torch.testing.assert_close(
        some.packed, every[mask.masked[0]], rtol=1e-4, atol=1e-5)


def test_what_enters_and_leaves_the_blocks():
    vit = MaskedViT('tiny', **SIZE)
    mask = unequal_mask()
    tokens = vit.embed(torch.randn(6, 3, 32, 32))
    latent = vit.encode(tokens, mask, ('input', 0, 11))
    start, first, last = latent.blocks
    x = latent.layout.pack(vit.prepend_cls(tokens))
    assert torch.equal(start, x)
    assert torch.equal(vit.ln1(last), latent.packed)
    assert torch.equal(vit.encode(tokens, mask, (0, )).blocks[0], first)


@MEMORIES
def test_queries_do_not_see_each_other(crossmae, looks_at):
    model = crossmae(looks_at=looks_at)
    mask = TokenMask(torch.arange(16).expand(2, 16) < 12)
    latent = encoded(model, torch.randn(2, 3, 32, 32), mask)
    before = model.neck(latent, mask)
    model.neck.decoder_pos_embed[:, 1 + 7].normal_()
    changed = (model.neck(latent, mask) != before).any(-1)
    assert changed[:, 7].all() and changed.sum() == 2


@MEMORIES
@pytest.mark.parametrize('uniform', [False, True])
def test_a_share_is_predicted_as_among_all(crossmae, looks_at, uniform):
    model = crossmae(looks_at=looks_at, prediction=1 / 3)
    mask = TokenMask(
        torch.rand(6, 16).argsort(1) < 12,
        num_visible=4) if uniform else unequal_mask()
    latent = encoded(model, torch.randn(6, 3, 32, 32), mask)
    every = model.neck(latent, mask)

    def drawn(seed):
        torch.manual_seed(seed)
        return model.neck.predict_masked(latent, mask)

    some = drawn(0)
    kept = some.layout.keep
    counts = mask.masked.sum(1)
    assert torch.equal(kept.sum(1), counts // 3)
    assert not (kept & ~mask.masked).any()
    torch.testing.assert_close(
        some.packed, some.layout.pack(every), rtol=1e-4, atol=1e-6)
    assert torch.equal(drawn(0).layout.keep, kept)
    assert not torch.equal(drawn(1).layout.keep, kept)
    model.eval()
    assert torch.equal(drawn(0).layout.keep, mask.masked)


def test_the_share_is_a_fair_draw():
    masked = torch.zeros(4000, 10, dtype=torch.bool)
    masked[:, 2:8] = True
    often = some_of(PackedLayout(masked), 0.5).keep.float().mean(0)
    assert (often[[0, 1, 8, 9]] == 0).all()
    torch.testing.assert_close(
        often[2:8], torch.full((6, ), .5), rtol=0, atol=.04)


@pytest.mark.parametrize('prediction', [1., 1 / 3])
@pytest.mark.parametrize('reduction', ['token', 'sample'])
@pytest.mark.parametrize('masker', ['RandomMasker', 'SBAM', 'RandomThrow'])
def test_loss_is_that_of_a_loop(crossmae, masker, reduction, prediction):
    model = crossmae(masker, prediction=prediction, reduction=reduction)
    images = torch.randn(5, 3, 32, 32)
    seen = []
    predict = model.neck.predict_masked
    model.neck.predict_masked = lambda *args: seen.append(
        predict(*args)) or seen[-1]

    def loss():
        torch.manual_seed(1)
        return model.loss(images)['loss']

    with exact():  # says how it is computed, not what
        slow = loss()
    fast = loss()
    some = seen[-1]
    pixels = some.layout.unpack(some.packed, torch.zeros(()))
    means, errors = [], []
    for image, predicted, kept in zip(patchify(images, 8), pixels,
                                      some.layout.keep):
        one = []
        for patch, guess in zip(image[kept], predicted[kept]):
            target = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            one.append((guess - target).square().mean())
        errors += one
        means.append(sum(one) / len(one))
    wanted = errors if reduction == 'token' else means
    torch.testing.assert_close(fast, sum(wanted) / len(wanted))
    torch.testing.assert_close(slow, fast)


@MEMORIES
def test_every_parameter_learns(crossmae, looks_at):
    model = crossmae('SBAM', looks_at=looks_at, prediction=1 / 3)
    # What has no part in the training is frozen, so that DDP asks for nothing.
    assert model.backbone.ln1.weight.requires_grad == (not looks_at)
    model.loss(torch.randn(4, 3, 32, 32))['loss'].backward()
    assert not [
        name for name, p in model.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.abs().sum())
    ]


@pytest.mark.parametrize('masker', ['RandomMasker', 'SBAM'])
@pytest.mark.parametrize('way', ['compiled', 'checkpointed'])
def test_other_ways_to_run_it(crossmae, masker, way):
    """Compiled, and with a third more work for memory: the same numbers."""

    def learn(model):
        torch.manual_seed(1)
        loss = model.loss(images)['loss']
        loss.backward()
        return loss, gradients(model)

    images = torch.randn(4, 3, 32, 32)
    plain = crossmae(masker, prediction=.5)
    other = crossmae(masker, prediction=.5, with_cp=way == 'checkpointed')
    if way == 'compiled':
        torch._dynamo.reset()
        assert len(compile_layers(other, backend='aot_eager')) == 5
    loss, grads = learn(plain)
    got, got_grads = learn(other)
    torch.testing.assert_close(got, loss, rtol=1e-6, atol=0)
    assert_same_gradients(got_grads, grads)


@pytest.mark.parametrize('masker', ['RandomMasker', 'SBAM', 'RandomThrow'])
def test_pictures_have_every_patch(crossmae, masker):
    model = crossmae(masker, prediction=1 / 3, norm_pix=False).eval()
    images = torch.randn(3, 3, 32, 32)
    picture = model.reconstruct(images)
    patches = patchify(picture.images, 8)
    assert (patches.abs().sum(-1) > 0).all()


def test_no_patch_is_masked(crossmae):
    model = crossmae(prediction=1 / 3)
    mask = TokenMask(torch.zeros(2, 16, dtype=torch.bool))
    latent = encoded(model, torch.randn(2, 3, 32, 32), mask)
    assert model.neck.predict_masked(latent, mask).packed.shape == (0, 192)
    loss = model.head.loss(
        model.decode(latent, mask), torch.randn(2, 3, 32, 32), mask)
    assert loss == 0


def test_an_encoder_is_loaded_from_its_checkpoint(crossmae, tmp_path):
    from sbam_mm.models.pretrained_encoder import load_encoder
    model = crossmae()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'cross.pth')
    arch = dict(
        embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
    other = MaskedViT(arch, **SIZE)
    load_encoder(other, str(tmp_path / 'cross.pth'))
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def convmae(**neck):
    return MODELS.build(
        dict(
            type='sbam_mm.ConvMAE',
            backbone=dict(
                type='sbam_mm.ConvViT',
                arch=dict(
                    embed_dims=(8, 12, 24), depths=(1, 1, 2), num_heads=3),
                img_size=32,
                patch_sizes=(2, 2, 2)),
            masker=dict(type='sbam_mm.SBAM'),
            neck=dict(
                type='sbam_mm.CrossDecoder', embed_dim=24,
                decoder_embed_dim=16, decoder_num_heads=2, decoder_depth=2,
                **neck, **SIZE),
            head=dict(type='sbam_mm.PixelHead', patch_size=8)))


def test_convmae_has_no_class_token():
    out = convmae(looks_at=(), prediction=.5).loss(torch.randn(4, 3, 32, 32))
    out['loss'].backward()
    assert torch.isfinite(out['loss'])
    with pytest.raises(ValueError, match=r'looks_at=\[\]'):
        convmae().loss(torch.randn(4, 3, 32, 32))


def build(kind, tiny_mae, **options):
    """A model of another class, from a tiny CrossMAE's parts."""
    model = tiny_mae(neck=dict(type='sbam_mm.CrossDecoder', looks_at=()))
    return MODELS.get(f'sbam_mm.{kind}')(
        backbone=model.backbone, neck=model.neck, head=model.head, **options)


@pytest.mark.parametrize('wrong, match', [
    (dict(prediction=0.), 'share of the masked patches'),
    (dict(prediction=1.5), 'share of the masked patches'),
    (dict(decoder_num_heads=3), 'do not divide the width 16'),
    (dict(patch_size=7), 'do not tile'),
    (dict(embed_dim=32), 'set neck.embed_dim=24'),
    (dict(), r"all of them are \['input', \*range\(2\)\]"),
    (dict(looks_at=(1, 0)), 'in their order'),
    (dict(looks_at=('output', )), 'does not name blocks'),
])
def test_what_does_not_fit_is_said(tiny_mae, wrong, match):
    neck = {**dict(type='sbam_mm.CrossDecoder'), **wrong}
    if wrong:
        neck.setdefault('looks_at', ALL)
    with pytest.raises(ValueError, match=match):
        tiny_mae(neck=neck)


@pytest.mark.parametrize('kind, match', [
    ('SimMIM', 'looks at visible tokens only'),
    ('HPM', "neck.type='sbam_mm.MAEDecoder'"),
])
def test_methods_that_want_another_decoder(tiny_mae, kind, match):
    with pytest.raises(ValueError, match=match):
        build(kind, tiny_mae)


def test_numbers_of_the_class():
    """What the official code builds for ViT-B, k and v without k's bias."""
    decoder = CrossDecoder()
    dim, memory = 512, 768
    block = (
        2 * 2 * dim  # norms
        + dim * dim + dim + 2 * memory * dim + dim + dim * dim + dim
        + 2 * 4 * dim * dim + 5 * dim)
    assert sum(p.numel() for p in decoder.parameters()) == (
        12 * (block + 2 * memory) + 12 * 13 + dim + 197 * dim + 2 * dim +
        768 * dim + 768)


def test_numbers_of_the_config():
    """The official command for ViT-B, and the paper's Table 10."""
    cfg = Config.fromfile(CONFIGS / 'crossmae_vitb_800e.py')
    neck = cfg.model.neck
    assert (neck.decoder_depth, neck.decoder_embed_dim,
            neck.decoder_num_heads) == (12, 512, 16)
    assert neck.looks_at == ['input', *range(12)]
    assert cfg.model.masker == dict(type='sbam_mm.RandomMasker', ratio=0.75)
    assert cfg.model.head.norm_pix
    masked = PackedLayout(torch.arange(196)[None] < 147)
    assert some_of(masked, neck.prediction).lengths == [int(.25 * 196)]
    optimizer = cfg.optim_wrapper.optimizer
    # The paper: gamma * base_lr * batch / (256 * p).
    assert optimizer.lr == pytest.approx(.25 * 1.5e-4 * 4096 / (256 * .75))
    assert (optimizer.betas, optimizer.weight_decay) == ((.9, .95), .05)
    warmup, cosine = cfg.param_scheduler
    assert warmup.end == cosine.begin == 40
    assert cosine.end == cfg.train_cfg.max_epochs == 800
    assert cfg.auto_scale_lr.base_batch_size == 4096
    with_sbam = Config.fromfile(CONFIGS / 'crossmae_vitb_sbam_800e.py')
    assert with_sbam.model.masker.type == 'sbam_mm.SBAM'
    assert with_sbam.model.neck == neck
