# Copyright (c) OpenMMLab. All rights reserved.
"""HPM: official numbers, and what its teacher and its losses must do."""
import math

import golden_files
import pytest
import torch
from mmengine.logging import MessageHub

from sbam_mm.masking import HPMMasker, RandomMasker, TokenMask
from sbam_mm.models.losses import ranking_loss, standardize
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
GOLDEN = golden_files.load('hpm')
CLOSE = dict(rtol=1e-4, atol=2e-5)


class GivenMask(torch.nn.Module):
    """A masker that always gives one mask."""
    needs = frozenset()
    uniform = False

    def __init__(self, masked):
        super().__init__()
        self.masked = masked

    def forward(self, context):
        return TokenMask(self.masked)


def hpm(masker=None, norm_pix=True, **options):
    """The model of the golden file, with random weights."""
    torch.manual_seed(0)
    cfg = {
        key[4:]: int(value)
        for key, value in GOLDEN.items() if key.startswith('cfg/')
    }
    size = dict(img_size=cfg['img_size'], patch_size=cfg['patch_size'])
    dim = cfg['embed_dim']
    config = dict(
        type='sbam_mm.HPM',
        backbone=dict(
            type='sbam_mm.MaskedViT',
            arch=dict(
                embed_dims=dim,
                num_layers=cfg['depth'],
                num_heads=cfg['num_heads'],
                feedforward_channels=4 * dim),
            **size),
        masker=masker,
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
            norm_pix=norm_pix))
    config.update(options)
    model = MODELS.build(config)
    model.init_weights()
    return model


def official(norm_pix, **options):
    """With the official weights and mask."""
    model = hpm(GivenMask(GOLDEN['mask']), norm_pix, **options)
    keys = model.load_state_dict(
        golden_files.our_state_dict(GOLDEN), strict=False)
    assert not keys.unexpected_keys
    assert all(k.startswith('loss_teacher.') for k in keys.missing_keys)
    return model


def visible_first(values):
    """In the order of the official decoder: visible, then masked."""
    order = torch.argsort(GOLDEN['mask'].byte(), dim=1, stable=True)
    return torch.stack([v[o] for v, o in zip(values, order)])


@pytest.mark.parametrize('pixels', ['raw_pix', 'norm_pix'])
def test_equals_official_hpm(pixels):
    images, mask = GOLDEN['images'], TokenMask(GOLDEN['mask'])
    model = official(pixels == 'norm_pix')
    latent = model.backbone.encode(model.backbone.embed(images), mask)
    dense = latent.to_dense()
    visible = mask.visible_counts[0]
    torch.testing.assert_close(dense[:, 0], GOLDEN['features'][:, 0], **CLOSE)
    torch.testing.assert_close(
        visible_first(dense[:, 1:])[:, :visible], GOLDEN['features'][:, 1:],
        **CLOSE)
    full = model.neck.arrange(latent)
    prediction = model.neck.decode(full, mask)
    predicted = model.loss_decoder(full, mask)
    torch.testing.assert_close(
        visible_first(prediction), GOLDEN['pix_pred'], **CLOSE)
    torch.testing.assert_close(
        visible_first(predicted), GOLDEN['loss_pred'], **CLOSE)
    patch_loss = model.head.patch_loss(prediction, images)
    torch.testing.assert_close(
        patch_loss[mask.masked].view(len(images), -1),
        GOLDEN[f'{pixels}/loss_matrix'], **CLOSE)

    out = model.loss(images)
    exact = dict(rtol=1e-5, atol=0)
    torch.testing.assert_close(
        out['loss_pixel'], GOLDEN[f'{pixels}/loss'], **exact)
    torch.testing.assert_close(
        out['loss_predict'], GOLDEN[f'{pixels}/learn_rel'], **exact)
    total, _ = model.parse_losses(out)
    total.backward()
    params, checked = dict(model.named_parameters()), 0
    for key, want in GOLDEN.items():
        if key.startswith(f'{pixels}/grad/'):
            name = golden_files.our_name(key.split('/grad/')[1])
            torch.testing.assert_close(
                params[name].grad, want, rtol=1e-5,
                atol=1e-5 * want.abs().max().item())
            checked += 1
    assert checked == 3

    absolute = official(pixels == 'norm_pix', learning='absolute')
    torch.testing.assert_close(
        absolute.loss(images)['loss_predict'],
        GOLDEN[f'{pixels}/learn_abs'], **exact)


@pytest.mark.parametrize('learning', ['relative', 'absolute'])
@pytest.mark.parametrize('masker', [
    None,
    dict(type='sbam_mm.RandomMasker'),
    dict(type='sbam_mm.SBAM'),
    dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.PredictedLoss'),
        ratio=dict(type='sbam_mm.AdaptiveRatio'),
        selection=dict(type='sbam_mm.WeightedOrder', throw=0.2)),
])
def test_every_masker_trains_every_parameter(masker, learning):
    model = hpm(masker, learning=learning)
    total, logs = model.parse_losses(
        model(torch.rand(3, 3, 32, 32), mode='loss'))
    assert total == logs['loss_pixel'] + logs['loss_predict']
    total.backward()
    for name, p in model.named_parameters():
        if name.startswith('loss_teacher.'):
            assert p.grad is None and not p.requires_grad
        elif p.requires_grad:
            assert p.grad is not None and torch.isfinite(p.grad).all(), name


@pytest.mark.parametrize('learning', ['relative', 'absolute'])
def test_unequal_counts_equal_a_loop_over_images(learning):
    """The batch's loss is the images' weighted by what they average over."""
    torch.manual_seed(1)
    predicted, losses = torch.randn(4, 16), torch.rand(4, 16)
    masked = torch.rand(4, 16) < torch.tensor([.9, .6, .3, .5])[:, None]
    masked[:, :2] = True
    counts = masked.sum(1)
    assert len(set(counts.tolist())) > 1
    model = hpm(learning=learning)
    whole = model.prediction_loss(predicted, losses, TokenMask(masked))
    parts, weights = [], []
    for p, v, m in zip(predicted, losses, masked):
        p, v, n = p[m], v[m], int(m.sum())
        if learning == 'absolute':
            z = (v - v.mean()) / (v.var() + 1e-6).sqrt()
            parts.append((p - z).square().mean())
            weights.append(n)
            continue
        terms = [
            -math.log(1 / (1 + math.exp(p[j] - p[i])) + 1e-6)
            for i in range(n) for j in range(n) if v[i] > v[j]
        ]
        parts.append(torch.tensor(sum(terms) / len(terms)))
        weights.append(len(terms))
    expected = sum(w * part for w, part in zip(weights, parts)) / sum(weights)
    torch.testing.assert_close(whole, expected, rtol=1e-5, atol=1e-6)


def test_only_masked_tokens_count():
    predicted, losses = torch.randn(2, 16), torch.rand(2, 16)
    masked = torch.rand(2, 16) < 0.5
    masked[:, :2] = True
    changed = torch.where(masked, losses, float('inf'))
    for loss in (ranking_loss,
                 lambda p, v, m: (standardize(v, m) * p)[m].sum()):
        assert torch.equal(
            loss(predicted, losses, masked), loss(predicted, changed, masked))


def test_images_without_a_pair():
    """One masked patch, none, or equal losses: nothing to rank."""
    predicted = torch.randn(2, 16, requires_grad=True)
    masked = torch.zeros(2, 16, dtype=torch.bool)
    masked[0, 3] = True
    assert ranking_loss(predicted, torch.rand(2, 16), masked) == 0
    loss = ranking_loss(predicted, torch.ones(2, 16), ~masked)
    loss.backward()
    assert loss == 0 and torch.equal(predicted.grad, torch.zeros(2, 16))
    assert torch.equal(
        standardize(torch.rand(2, 16), masked), torch.zeros(2, 16))


def test_a_prediction_that_tells_nothing_costs_log_2():
    masked = torch.ones(2, 16, dtype=torch.bool)
    loss = ranking_loss(torch.zeros(2, 16), torch.rand(2, 16), masked)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-5)


def test_teacher_predicts_from_the_whole_image():
    """As the student would with nothing hidden, right after the copy."""
    model, images = hpm(), torch.rand(2, 3, 32, 32)
    model.follow_student()
    nothing = TokenMask(torch.zeros(2, 16, dtype=torch.bool), num_visible=16)
    latent = model.backbone.encode(model.backbone.embed(images), nothing)
    torch.testing.assert_close(
        model.predict_loss(images),
        model.loss_decoder(model.neck.arrange(latent), nothing),
        rtol=0,
        atol=1e-5)


def test_masker_hides_what_the_teacher_finds_hard():
    model, images = hpm(), torch.rand(2, 3, 32, 32)
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 100)
    hub.update_info('max_iters', 100)
    mask = model.mask(model.backbone.embed(images), images)
    scores = model.predict_loss(images)
    hardest = scores.argsort(1, descending=True)[:, :6]
    assert mask.num_visible == 4
    assert mask.masked.gather(1, hardest).all()


def test_teacher_moves_by_the_right_amount():
    """teacher <- m teacher + (1 - m) student; m ramps over 100 epochs."""
    model = hpm(RandomMasker(), momentum=0.9, end_momentum=0.99)
    images = torch.rand(2, 3, 32, 32)
    hub = MessageHub.get_current_instance()
    for name, value in dict(max_epochs=200, max_iters=2000, iter=0).items():
        hub.update_info(name, value)
    model.loss(images)
    student = model.loss_predictor()
    teacher = model.loss_teacher.module
    start = {k: v.clone() for k, v in teacher.state_dict().items()}
    for key, value in student.state_dict().items():
        assert torch.equal(start[key], value)
    with torch.no_grad():
        for p in student.parameters():
            p.add_(1.)
    # Step 501 of 2000 is made after 500: half way to epoch 100.
    hub.update_info('iter', 501)
    model.loss(images)
    momentum = (0.9 + 0.99) / 2
    moved = teacher.state_dict()
    for key, value in student.state_dict().items():
        torch.testing.assert_close(
            moved[key], momentum * start[key] + (1 - momentum) * value)
    model.eval()
    still = {k: v.clone() for k, v in moved.items()}
    model.loss(images)
    assert all(torch.equal(still[k], v)
               for k, v in teacher.state_dict().items())


def test_defaults_are_the_papers():
    model = hpm()
    assert isinstance(model.masker, HPMMasker)
    teacher = model.loss_teacher
    assert (teacher.start_momentum, teacher.end_momentum, teacher.shape,
            teacher.ramp_epochs) == (0.999, 0.9999, 'linear', 100)


@pytest.mark.parametrize('change, words', [
    (dict(learning='rank'), 'learning must be one of'),
    (dict(neck=None), "set neck.type='sbam_mm.MAEDecoder'"),
    (dict(head=torch.nn.Identity()), "set head.type='sbam_mm.PixelHead'"),
    (dict(momentum=2.), 'share of the teacher'),
])
def test_bad_input_gets_a_sentence(change, words):
    with pytest.raises(ValueError, match=words):
        hpm(**change)


def test_learns_where_it_is_hard():
    """Noise is harder than a plain surface; soon the decoder knows where."""
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(8, 3, 32, 32)
    images[:4, :, :, 16:] = torch.randn(4, 3, 32, 16, generator=generator)
    images[4:, :, :16] = torch.randn(4, 3, 16, 32, generator=generator)
    model = hpm(RandomMasker(0.5), norm_pix=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    history = []
    for _ in range(30):
        total, logs = model.parse_losses(model.loss(images))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(logs['loss_predict'].item())
    # Not all pairs can be told apart: two patches of noise are alike.
    assert history[0] > 0.65 and sum(history[-10:]) / 10 < 0.5
