# Copyright (c) OpenMMLab. All rights reserved.
"""I-JEPA computes its formulae, and trains with any masker."""
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
from sbam_mm.models.backbones.vit_attention import encode_whole
from sbam_mm.models.losses import feature_std
from sbam_mm.models.pretrained_encoder import encoder_weights
from sbam_mm.models.selfsup.ijepa import normalised
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit


def ijepa(masker=None, seed=0, **options):
    """Two blocks on 8 x 8 patches, and a predictor of two."""
    torch.manual_seed(seed)
    size = dict(img_size=32, patch_size=4)
    neck = options.pop('neck', {})
    model = MODELS.build(
        dict(
            type='sbam_mm.IJEPA',
            backbone=dict(
                type='sbam_mm.MaskedViT',
                arch=dict(embed_dims=24, num_layers=2, num_heads=3,
                          feedforward_channels=48),
                **size),
            masker=masker,
            neck=dict(
                dict(type='sbam_mm.JEPAPredictor', embed_dim=24,
                     decoder_embed_dim=16, decoder_depth=2,
                     decoder_num_heads=2, **size), **neck),
            **options))
    model.init_weights()
    return model


def moved(model):
    return apart(model, model.momentum_teacher.module)


class FixedMask(nn.Module):
    uniform = False
    needs = frozenset()

    def __init__(self, mask):
        super().__init__()
        self.mask = mask

    def forward(self, context):
        return self.mask


def masks(batch_size=3, targets=3):
    """Targets of different sizes that overlap, and thrown tokens."""
    generator = torch.Generator().manual_seed(2)
    shares = torch.tensor([.1, .2, .3])[:batch_size, None, None]
    parts = torch.rand(
        batch_size, targets, 64, generator=generator) < shares
    masked = parts.any(dim=1)
    thrown = ~masked & (
        torch.rand(batch_size, 64, generator=generator) < 0.3)
    return TokenMask(masked, thrown, targets=parts)


def by_hand(model, batch, mask, distance, reduction):
    """The loss as the paper says it, one image and target at a time."""
    teacher = model.momentum_teacher.module['backbone']
    wanted = encode_whole(teacher, batch)[:, 1:]
    wanted = (wanted - wanted.mean(-1, keepdim=True)) / (
        wanted.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    neck, parts = model.neck, mask.targets
    if parts is None:
        parts = mask.masked[:, None]
    means, errors = [], []
    for image, seen, targets, goal in zip(
            batch, mask.visible, parts, wanted):
        x = model.backbone.prepend_cls(
            model.backbone.embed(image[None])[:, seen])
        for block in model.backbone.layers:
            x = block(x)
        context = neck.decoder_embed(model.backbone.ln1(x))
        positions = neck.decoder_pos_embed
        context = context + torch.cat(
            [positions[:, :1], positions[:, 1:][:, seen]], dim=1)
        for target in targets:
            if not target.any():
                continue
            asked = neck.mask_token + positions[:, 1:][:, target]
            x = torch.cat([context, asked], dim=1)
            for block in neck.decoder_blocks:
                x = block(x)
            x = x[0, context.shape[1]:]
            error = neck.decoder_pred(neck.decoder_norm(x)) - goal[target]
            if distance == 'l2':
                error = error.square()
            else:
                size = error.abs()
                error = torch.where(size < 1, 0.5 * size**2, size - 0.5)
            errors.append(error.mean(dim=1))
            means.append(error.mean())
    if reduction == 'sample':
        return torch.stack(means).mean()
    return torch.cat(errors).mean()


@pytest.mark.parametrize('reduction', ['sample', 'token'])
@pytest.mark.parametrize('distance', ['smooth_l1', 'l2'])
@pytest.mark.parametrize('named', [True, False])
def test_loss_and_gradients_are_the_formula(distance, reduction, named):
    """Packed images and targets equal a loop over them."""
    mask = masks()
    if not named:
        mask = TokenMask(mask.masked, mask.thrown)
    model = moved(ijepa(FixedMask(mask), distance=distance,
                        reduction=reduction)).eval()
    batch = images()
    loss = model.loss(batch)['loss']
    expected = by_hand(model, batch, mask, distance, reduction)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    learnt = [p for p in model.parameters() if p.requires_grad]
    for ours, theirs in zip(torch.autograd.grad(loss, learnt),
                            torch.autograd.grad(expected, learnt)):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


def test_other_targets_have_no_part_in_a_prediction():
    """Nor have thrown tokens; a block is predicted from the context alone."""
    mask, batch = masks(), images()
    model = ijepa().eval()
    latent = model.backbone.encode(model.embed(batch), mask)
    all_at_once = model.neck.predict_targets(latent, mask.targets)
    alone = model.neck.predict_targets(latent, mask.targets[:, 1:2])
    whole = all_at_once.to_dense().unflatten(0, (3, 3))[:, 1]
    torch.testing.assert_close(whole, alone.to_dense(), rtol=1e-4, atol=1e-6)


def test_targets_are_layer_normalised_and_of_the_teacher():
    model = moved(ijepa())
    teacher = model.momentum_teacher.module['backbone']
    wanted = normalised(model.teach(images()).tokens[:, 1:])
    tokens = encode_whole(teacher, images())[:, 1:]
    torch.testing.assert_close(wanted, F.layer_norm(tokens, (24, )))
    assert not wanted.requires_grad


def test_momentum_follows_its_line():
    """0.996 to 1 over the training; nothing else moves the teacher."""
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 10)
    model, batch = ijepa(momentum=0.9).train(), images()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    average = None
    for step in range(4):
        hub.update_info('iter', step)
        before = [p.detach().clone() for p in model.backbone.parameters()]
        out = model.loss(batch)['loss']
        optimizer.zero_grad()
        out.backward()
        optimizer.step()
        # The first update copies; the next are of the steps before them.
        m = 0.9 + (1 - 0.9) * max(step - 1, 0) / 10
        average = before if average is None else [
            m * a + (1 - m) * b for a, b in zip(average, before)]
        teacher = model.momentum_teacher.module['backbone'].parameters()
        for ours, theirs in zip(teacher, average):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
            assert ours.grad is None


def test_own_masker_names_its_targets():
    model, batch = ijepa(), images()
    mask = model.mask(model.embed(batch), batch)
    assert mask.targets.shape == (3, 4, 64)
    assert torch.equal(mask.targets.any(dim=1), mask.masked)
    assert not (mask.masked & mask.visible).any()


@pytest.mark.parametrize('masker', [
    None,
    dict(type='sbam_mm.SBAM', ratio=0.6, delta_r=0.3),
    dict(type='sbam_mm.RandomRatioMasker'),
    dict(type='sbam_mm.AttMask', ratio=0.75, probability=1.),
    dict(type='sbam_mm.MaskSomeViews',
         masker=dict(type='sbam_mm.IJEPAMasker')),
], ids=lambda masker: masker and masker['type'])
def test_trains_with_any_masker(masker):
    every_parameter_learns(ijepa(masker).train(), images())


def test_teacher_attention_is_of_the_pass_that_is_made_anyway(monkeypatch):
    model = ijepa(dict(type='sbam_mm.AttMask', probability=1.)).train()
    passes = []
    teach = model.teach
    monkeypatch.setattr(
        model, 'teach', lambda x: passes.append(1) or teach(x))
    model.loss(images())
    assert len(passes) == 1


def test_two_halves_of_a_training_equal_the_whole(tmp_path):
    two_halves_equal_the_whole(
        lambda seed: ijepa(seed=seed).train(), images(),
        tmp_path / 'half.pth')


def test_the_target_encoder_is_evaluated():
    model, batch = ijepa().train(), images()
    assert model.evaluated_encoder is model.backbone
    model.loss(batch)
    teacher = model.momentum_teacher.module['backbone']
    assert model.evaluated_encoder is teacher
    moved(model)
    found = encoder_weights(dict(state_dict=model.state_dict()))
    assert torch.equal(found['ln1.weight'], teacher.ln1.weight)


def test_other_decoders_are_refused():
    with pytest.raises(ValueError, match='JEPAPredictor'):
        ijepa(neck=dict(type='sbam_mm.MAEDecoder'))


def test_feature_std_tells_a_collapse():
    x = torch.randn(1, 1, 8).expand(4, 16, 8)
    assert feature_std(x) < 1e-6
    x = torch.randn(2, 500, 8)
    torch.testing.assert_close(
        feature_std(x), x.flatten(0, 1).std(0, correction=0).mean())
