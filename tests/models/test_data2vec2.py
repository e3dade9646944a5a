# Copyright (c) OpenMMLab. All rights reserved.
"""data2vec 2.0 computes its formulae, and trains with any masker."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.logging import MessageHub
from short_trainings import (
    every_parameter_learns,
    two_halves_equal_the_whole,
)
from torch import nn
from unlike_teachers import apart, images

from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.vit_attention import (
    encode_whole,
    input_tokens,
    patch_attention,
)
from sbam_mm.models.necks import ConvDecoder
from sbam_mm.models.selfsup.data2vec2 import averaged, joined
from sbam_mm.models.teachers.teacher_pass import FeedForwardPass
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
SIZE = dict(img_size=32, patch_size=8)


def data2vec2(masker=None, seed=0, noise=0.01, backbone=None, **options):
    """Three blocks, of which two are targets, on 4 x 4 patches."""
    torch.manual_seed(seed)
    options = dict(dict(num_masks=2, top_k=2, cls_weight=0.5), **options)
    model = MODELS.build(
        dict(
            type='sbam_mm.Data2Vec2',
            backbone=dict(
                dict(type='sbam_mm.MaskedViT',
                     arch=dict(embed_dims=24, num_layers=3, num_heads=3,
                               feedforward_channels=48), **SIZE),
                **(backbone or {})),
            masker=masker,
            neck=dict(type='sbam_mm.ConvDecoder', embed_dim=24,
                      decoder_embed_dim=16, decoder_depth=3, groups=4,
                      noise=noise, **SIZE),
            **options))
    model.init_weights()
    return model


def moved(model):
    return apart(model, model.target.vit)


class Masks(nn.Module):
    """One mask after the other."""
    uniform = False
    needs = frozenset()

    def __init__(self, masks):
        super().__init__()
        self.masks = list(masks)

    def forward(self, context):
        self.masks.append(self.masks.pop(0))
        return self.masks[-1]


def masks(number=2, throw=True):
    generator = torch.Generator().manual_seed(2)
    shares = torch.tensor([.4, .6, .8])[:, None]
    for _ in range(number):
        masked = torch.rand(3, 16, generator=generator) < shares
        thrown = ~masked & (torch.rand(3, 16, generator=generator) < .3)
        yield TokenMask(masked, thrown if throw else None)


def wanted_by_hand(vit, batch, top_k):
    """The target of each patch, from mmpretrain's own layers."""
    x, layers = input_tokens(vit, batch), []
    for block in vit.layers:
        x = x + block.attn(block.ln1(x))
        layers.append(block.ffn.layers(block.ln2(x))[:, 1:])
        x = x + block.ffn.layers(block.ln2(x))
    layers = [F.instance_norm(y.mT).mT for y in layers[-top_k:]]
    return F.layer_norm(sum(layers) / top_k, (24, ))


def decoded_by_hand(neck, x):
    """Prediction of all patches from (1, L, D), without noise."""
    x = x.mT.reshape(1, 24, 4, 4)
    for i, conv in enumerate(neck.convs):
        y = F.conv2d(x, conv.weight, conv.bias, padding=1, groups=4)
        mean = y.mean(1, keepdim=True)
        var = y.var(1, keepdim=True, correction=0)
        y = F.gelu((y - mean) / (var + 1e-5).sqrt())
        x = y if i == 0 else x + y
    return neck.decoder_pred(x.flatten(2).mT)


def by_hand(model, batch, given, scale, reduction):
    """Both losses, one masked image at a time."""
    wanted = wanted_by_hand(model.target.vit, batch, model.top_k)
    patch, cls = [], []
    for mask in given:
        for i in range(len(batch)):
            seen = mask.visible[i]
            x = model.backbone.prepend_cls(
                model.backbone.embed(batch[i:i + 1])[:, seen])
            for block in model.backbone.layers:
                x = block(x)
            x = model.backbone.ln1(x)
            grid = x.new_zeros(1, 16, 24)
            grid[:, seen] = x[:, 1:]
            out = decoded_by_hand(model.neck, grid)[0]
            error = scale * (out - wanted[i]).square().sum(-1)
            patch.append(error[mask.masked[i]])
            cls.append(scale * (x[0, 0] - wanted[i].mean(0)).square().sum())
    token = torch.cat(patch).mean()
    sample = torch.stack([p.mean() for p in patch]).mean()
    return (token if reduction == 'token' else sample,
            model.cls_weight * torch.stack(cls).mean())


@pytest.mark.parametrize('scale, reduction', [
    (None, 'token'), (None, 'sample'), (1 / 24, 'token')])
@pytest.mark.parametrize('throw', [True, False])
def test_losses_and_gradients_are_the_formulae(scale, reduction, throw):
    """Packed masks of several ratios equal a loop over masked images."""
    given = list(masks(throw=throw))
    model = moved(data2vec2(Masks(given), scale=scale, reduction=reduction,
                            noise=0.)).eval()
    batch = images()
    out = model.loss(batch)
    patch, cls = by_hand(model, batch, given, scale or 24**-0.5, reduction)
    torch.testing.assert_close(out['loss_patch'], patch, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(out['loss_cls'], cls, rtol=1e-5, atol=1e-6)
    learnt = [p for p in model.parameters() if p.requires_grad]
    for ours, theirs in zip(
            torch.autograd.grad(out['loss_patch'] + out['loss_cls'], learnt),
            torch.autograd.grad(patch + cls, learnt)):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


def test_one_teacher_pass_for_all_masks(monkeypatch):
    calls = []
    whole = FeedForwardPass._outcome.func
    monkeypatch.setattr(
        FeedForwardPass._outcome, 'func',
        lambda self: calls.append(1) or whole(self))
    # It asks for attention of the last block, too.
    model = data2vec2(dict(type='sbam_mm.AttMask', probability=1.),
                      num_masks=5).train()
    out = model.loss(images())
    assert len(calls) == 1
    assert out['visible_tokens'].isfinite()


def test_masks_of_an_image_differ_and_are_joined():
    model, batch = data2vec2(num_masks=4), images()
    mask = model.mask(model.embed(batch), batch)
    assert mask.masked.shape == (12, 16) and mask.num_visible == 3
    assert (mask.masked.sum(1) == 13).all()
    by_mask = mask.masked.unflatten(0, (4, 3))
    assert (by_mask[0] != by_mask[1]).any()
    unequal = joined(list(masks()))
    assert unequal.num_visible is None and unequal.thrown.shape == (6, 16)


def test_feed_forward_pass_is_the_teachers_pass():
    """Its tokens and attention are those of a plain pass."""
    for backbone in ({}, dict(layer_cfgs=dict(layer_scale_init_value=0.5))):
        vit = data2vec2(backbone=backbone).target.vit
        teaching = FeedForwardPass(vit, images(), top_k=2)
        torch.testing.assert_close(teaching.tokens,
                                   encode_whole(vit, images()))
        assert len(teaching.added) == 2
        torch.testing.assert_close(
            teaching.attention(-1),
            patch_attention(vit, input_tokens(vit, images()), -1))
        assert not teaching.tokens.requires_grad


def test_target_of_one_patch_is_finite():
    assert averaged([torch.randn(2, 1, 8)] * 2).isfinite().all()


def test_noise_stands_where_nothing_was_encoded():
    """Drawn anew, of the given deviation, and not where tokens are."""
    model, batch = data2vec2(noise=3.), images()
    mask = next(masks())
    latent = model.backbone.encode(model.embed(batch), mask)
    seen = []
    model.neck.convs[0].register_forward_pre_hook(
        lambda _, x: seen.append(x[0].flatten(2).mT))
    for _ in range(20):
        model.neck(latent, mask)
    first, second = seen[:2]
    visible = mask.visible
    assert torch.equal(first[visible], second[visible])
    torch.testing.assert_close(
        first[visible], latent.to_dense()[:, 1:][visible])
    assert (first[~visible] != second[~visible]).all()
    drawn = torch.stack([x[~visible] for x in seen])
    assert abs(drawn.std() - 3.) < 0.1 and abs(drawn.mean()) < 0.1


def test_momentum_follows_its_line():
    """From its start to its end over the ramp's epochs, then constant."""
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 8)
    hub.update_info('max_epochs', 4)
    model, batch = data2vec2(target=dict(
        type='sbam_mm.MomentumTeacher', momentum=0.9, end_momentum=0.99,
        shape='linear', ramp_epochs=2)).train(), images()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    average = None
    for step in range(7):
        hub.update_info('iter', step)
        before = [p.detach().clone() for p in model.backbone.parameters()]
        loss, _ = model.parse_losses(model.loss(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        m = 0.9 + 0.09 * min(max(step - 1, 0) / 4, 1)
        average = before if average is None else [
            m * a + (1 - m) * b for a, b in zip(average, before)]
        for ours, theirs in zip(model.target.vit.parameters(), average):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
            assert ours.grad is None


@pytest.mark.parametrize('masker', [
    None,
    dict(type='sbam_mm.SBAM', ratio=0.6, delta_r=0.3),
    dict(type='sbam_mm.RandomRatioMasker'),
    dict(type='sbam_mm.IJEPAMasker'),
    dict(type='sbam_mm.AttMask', ratio=0.75, probability=1.),
], ids=lambda masker: masker and masker['type'])
def test_trains_with_any_masker(masker):
    every_parameter_learns(data2vec2(masker).train(), images())


def test_without_the_class_tokens_loss():
    model = data2vec2(cls_weight=0.)
    assert 'loss_cls' not in model.loss(images())


def test_two_halves_of_a_training_equal_the_whole(tmp_path):
    two_halves_equal_the_whole(
        lambda seed: data2vec2(seed=seed).train(), images(),
        tmp_path / 'half.pth')


@pytest.mark.parametrize('options, remedy', [
    (dict(top_k=4), '3 blocks'), (dict(num_masks=0), 'num_masks')])
def test_options_that_cannot_be(options, remedy):
    with pytest.raises(ValueError, match=remedy):
        data2vec2(**options)


def test_a_decoder_is_wanted():
    with pytest.raises(ValueError, match='ConvDecoder'):
        MODELS.build(dict(
            type='sbam_mm.Data2Vec2',
            backbone=dict(type='sbam_mm.MaskedViT', arch='tiny', **SIZE)))


@pytest.mark.parametrize('options, remedy', [
    (dict(kernel_size=4), 'odd'), (dict(groups=7), 'divide')])
def test_decoders_that_cannot_be(options, remedy):
    with pytest.raises(ValueError, match=remedy):
        ConvDecoder(embed_dim=24, decoder_embed_dim=16,
                    **{'groups': 4, **options}, **SIZE)
