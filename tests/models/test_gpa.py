# Copyright (c) OpenMMLab. All rights reserved.
"""GPA as a feature: the target, the readings of the paper, one teacher."""
import golden_files
import pytest
import torch
from mmengine.logging import MessageHub

from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.vit_attention import input_tokens
from sbam_mm.models.losses import standardize
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
SIZE = dict(img_size=32, patch_size=8)
VIT = dict(
    type='sbam_mm.MaskedViT',
    arch=dict(
        embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48),
    **SIZE)
GPA = dict(type='sbam_mm.GPA', block=1, head=2)
TARGET = dict(
    type='sbam_mm.AttentionSalience',
    block=1,
    head=2,
    queries='patches',
    softmax=False,
    own_query=False,
    source='teacher')


def gpa(masker=GPA, **options):
    torch.manual_seed(0)
    model = MODELS.build({
        **dict(
            type='sbam_mm.GPAFeature',
            backbone=VIT,
            masker=masker,
            teacher=dict(type='sbam_mm.MomentumTeacher'),
            neck=dict(
                type='sbam_mm.MAEDecoder',
                embed_dim=24,
                decoder_embed_dim=16,
                decoder_depth=1,
                decoder_num_heads=2,
                **SIZE),
            head=dict(type='sbam_mm.PixelHead', patch_size=8)),
        **options
    })
    model.init_weights()
    return model


def at(step, steps=100):
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', step)
    hub.update_info('max_iters', steps)


class CountPasses:
    """How often the teacher's first block runs."""

    def __init__(self, model):
        self.passes = 0
        model.teacher.vit.layers[0].register_forward_hook(self.count)

    def count(self, *_):
        self.passes += 1


@pytest.mark.parametrize('options', [
    {},
    dict(masker=dict(type='sbam_mm.RandomMasker'), target=TARGET),
    dict(masker=dict(type='sbam_mm.SBAM'), target=TARGET),
    dict(masker=dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AttentionSalience', source='teacher'),
        ratio=dict(type='sbam_mm.AdaptiveRatio'),
        selection=dict(type='sbam_mm.WeightedOrder', throw=0.2))),
])
def test_trains_every_parameter_with_one_pass_of_the_teacher(options):
    model = gpa(**options)
    passes = CountPasses(model)
    total, logs = model.parse_losses(
        model(torch.rand(3, 3, 32, 32), mode='loss'))
    assert passes.passes == 1
    assert total == logs['loss_pixel'] + logs['loss_attention']
    total.backward()
    for name, p in model.named_parameters():
        if name.startswith('teacher.'):
            assert p.grad is None and not p.requires_grad
        elif p.requires_grad:
            assert p.grad is not None and torch.isfinite(p.grad).all(), name


@pytest.mark.parametrize('scale', ['raw', 'z-score'])
def test_eq_7(scale):
    """Mean over the masked of (F' - GPA)^2, written out."""
    model, images = gpa(target_scale=scale), torch.rand(3, 3, 32, 32)
    model.follow_student()
    masked = torch.rand(3, 16) < torch.tensor([.8, .5, .3])[:, None]
    masked[:, 0] = True
    mask = TokenMask(masked)
    tokens = model.backbone.embed(images)
    full = model.neck.arrange(model.backbone.encode(tokens, mask))
    scores = model.target.unscaled(model.context(tokens, images))
    predicted = model.attention_decoder(full, mask)
    terms = []
    for p, s, m in zip(predicted, scores, masked):
        if scale == 'z-score':
            s = (s - s.mean()) / (s.var() + 1e-6).sqrt()
        terms.append((p - s)[m].square())
    torch.testing.assert_close(
        model.attention_loss(full, scores, mask, progress=0.),
        torch.cat(terms).mean(),
        rtol=1e-5,
        atol=1e-6)


def test_code_counts_all_patches_and_starts_its_decoder_late():
    model, images = gpa(variant='code'), torch.rand(2, 3, 32, 32)
    masked = torch.rand(2, 16) < 0.7
    mask, everything = TokenMask(masked), torch.ones_like(masked)
    tokens = model.backbone.embed(images)
    full = model.neck.arrange(model.backbone.encode(tokens, mask))
    scores = torch.rand(2, 16)
    z = standardize(scores, everything)
    for progress, predicted in (
        (0.75, full[:, 1:].mean(-1)),
        (0.76, model.attention_decoder(full, mask))):
        torch.testing.assert_close(
            model.attention_loss(full, scores, mask, progress),
            (predicted - z).square().mean())


def test_turns():
    """One loss per step, and the sum in the other variants."""
    images = torch.rand(2, 3, 32, 32)
    model = gpa(variant='alternate')
    for step, name in enumerate(['loss_pixel', 'loss_attention'] * 2):
        at(step)
        losses = {key for key in model.loss(images) if 'loss' in key}
        assert losses == {name}
    for variant in ('paper', 'code'):
        for step in (4, 5):
            at(step)
            losses = {k for k in gpa(variant=variant).loss(images)
                      if 'loss' in k}
            assert losses == {'loss_pixel', 'loss_attention'}


def test_turns_are_those_of_the_optimizer():
    """Micro-batches of one step share their loss."""
    images = torch.rand(2, 3, 32, 32)
    model = gpa(variant='alternate')
    hub = MessageHub.get_current_instance()
    hub.update_info_dict(dict(max_iters=12, accumulative_counts=3))
    for iteration in range(12):
        hub.update_info('iter', iteration)
        pixels = iteration // 3 % 2 == 0
        losses = {key for key in model.loss(images) if 'loss' in key}
        assert losses == {'loss_pixel' if pixels else 'loss_attention'}


def test_target_is_the_official_score():
    """The z-score of the official min-max score: scale does not matter."""
    golden = golden_files.load('gpa_score_mask')
    everything = torch.ones_like(golden['score0'], dtype=torch.bool)
    score, raw = golden['score0'], golden['raw0']
    expected = (score - score.mean(1, keepdim=True)) / score.std(
        1, keepdim=True)
    torch.testing.assert_close(
        standardize(score, everything), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        standardize(raw, everything), expected, rtol=1e-3, atol=1e-3)


def test_target_is_eq_5():
    """Of the loss, too: the sum of the teacher's logits as it is."""
    assert [gpa(variant=v).target_scale for v in (
        'paper', 'alternate', 'code')] == ['raw', 'raw', 'z-score']
    model, images = gpa(), torch.rand(2, 3, 32, 32)
    model.follow_student()
    vit = model.teacher.vit
    x = vit.layers[0](input_tokens(vit, images))
    layer = vit.layers[1]
    qkv = layer.attn.qkv(layer.ln1(x)).unflatten(-1, (3, 3, 8))
    q, k = qkv[:, 1:, 0, 2], qkv[:, 1:, 1, 2]  # head 2, no class token
    logits = q @ k.transpose(1, 2) / 8**.5
    expected = logits.sum(1) - logits.diagonal(dim1=1, dim2=2)
    tokens = model.backbone.embed(images)
    context = model.context(tokens, images)
    torch.testing.assert_close(
        model.target.unscaled(context), expected, rtol=1e-4, atol=1e-4)
    low, high = expected.aminmax(dim=1, keepdim=True)
    torch.testing.assert_close(
        model.masker(context).scores, (expected - low) / (high - low),
        rtol=1e-4, atol=1e-4)


def test_weight():
    images = torch.rand(2, 3, 32, 32)
    found = {}
    for weight in (1., 0.25):
        model = gpa(weight=weight)
        torch.manual_seed(1)
        found[weight] = model.loss(images)['loss_attention']
    torch.testing.assert_close(found[0.25], found[1.] / 4)


def test_teacher_moves_by_the_right_amount():
    model = gpa(teacher=dict(type='sbam_mm.MomentumTeacher', momentum=0.9))
    images = torch.rand(2, 3, 32, 32)
    model.loss(images)
    start = {k: v.clone() for k, v in model.teacher.vit.state_dict().items()}
    with torch.no_grad():
        for p in model.backbone.parameters():
            p.add_(1.)
    model.loss(images)
    for key, value in model.teacher.vit.state_dict().items():
        torch.testing.assert_close(
            value,
            0.9 * start[key] + 0.1 * model.backbone.state_dict()[key])


@pytest.mark.parametrize('change, words', [
    (dict(teacher=None), 'add model.teacher='),
    (dict(masker=None), 'set model.target='),
    (dict(masker=None, target=TARGET, teacher=None), 'add model.teacher='),
    (dict(target=dict(type='sbam_mm.NoSalience')), 'target goes by NoSal'),
    (dict(variant='both'), 'variant must be one of'),
    (dict(target_scale='min-max'), 'target_scale must be one of'),
    (dict(neck=None), "set neck.type='sbam_mm.MAEDecoder'"),
])
def test_bad_input_gets_a_sentence(change, words):
    with pytest.raises(ValueError, match=words):
        gpa(**change)
