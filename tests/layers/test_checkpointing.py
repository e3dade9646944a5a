# Copyright (c) OpenMMLab. All rights reserved.
"""Activation checkpointing: the same numbers, fewer bytes kept."""
import copy

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from sbam_mm.masking import TokenMask
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
SIZE = dict(img_size=32, patch_size=8)
ARCH = dict(embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=96)
# What enters the blocks stays, out of the hooks' sight: at most five times 4
# images of 17 tokens.
INPUTS = 5 * 4 * 17 * 24 * 4
CONV = dict(embed_dims=(8, 16, 24), depths=(1, 1, 3), num_heads=3)
ENCODERS = {
    'MaskedViT': dict(arch=ARCH, **SIZE),
    'MaskedBEiT': dict(arch=ARCH, **SIZE),
    'ConvViT': dict(arch=CONV, img_size=32, patch_sizes=(2, 2, 2)),
}


def learn(model, forward):
    """Loss, gradients and the bytes that were kept for them."""
    kept = {}

    def pack(tensor):
        if tensor.grad_fn is not None or not tensor.requires_grad:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(1)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = forward(model)
    loss.backward()
    gradients = {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return loss, gradients, sum(kept.values())


def same_for_less(build, forward, share=0.6):
    plain = build(False)
    frugal = build(True)
    frugal.load_state_dict(plain.state_dict())
    loss, gradients, kept = learn(plain, forward)
    # A copy, as momentum teachers are, has to run on its own weights.
    loss2, gradients2, kept2 = learn(copy.deepcopy(frugal), forward)
    assert all(p.grad is None for p in frugal.parameters())
    torch.testing.assert_close(loss2, loss, rtol=1e-6, atol=1e-7)
    assert gradients.keys() == gradients2.keys()
    for name, value in gradients.items():
        torch.testing.assert_close(
            gradients2[name], value, rtol=1e-5, atol=1e-6)
    assert kept2 + INPUTS < share * kept, (kept2, kept)


def encoder(name, **options):

    def build(with_cp):
        torch.manual_seed(0)
        return MODELS.build(
            dict(
                ENCODERS[name],
                type=f'sbam_mm.{name}',
                with_cp=with_cp,
                **options))

    return build


def masks(counts):
    masked = torch.zeros(4, 16, dtype=torch.bool)
    for row, count in zip(masked, counts):
        row[:count] = True
    return TokenMask(masked)


@pytest.mark.parametrize('counts', [(12, 12, 12, 12), (12, 8, 4, 8)],
                         ids=['dense', 'packed'])
@pytest.mark.parametrize('name', ['MaskedViT', 'MaskedBEiT'])
def test_encoder(name, counts):
    images = torch.randn(4, 3, 32, 32)

    def forward(vit):
        latent = vit.encode(vit.embed(images), masks(counts))
        return latent.packed.square().mean()

    same_for_less(encoder(name), forward)


@pytest.mark.parametrize('name', ['MaskedViT', 'MaskedBEiT'])
def test_whole_images_with_dropped_paths(name):
    """mmpretrain's own forward; the same paths are dropped again."""
    images = torch.randn(4, 3, 32, 32)
    same_for_less(
        encoder(name, drop_path_rate=0.5),
        lambda vit: vit(images)[-1].square().mean(),
        share=0.8 if name == 'MaskedBEiT' else 0.6)


def test_convmae():
    images = torch.randn(4, 3, 32, 32)

    def forward(encoder):
        return encoder.encode(images, masks(
            (12, 8, 4, 8))).packed.square().mean()

    same_for_less(encoder('ConvViT'), forward)


def test_sbam_in_mae(tiny_mae):
    """Encoder and decoder, each image with its own ratio."""
    images = torch.randn(4, 3, 32, 32)
    images[1, :, :, :16] *= 0.05

    def build(with_cp):
        model = tiny_mae('SBAM', noise=0., arch=ARCH)
        if with_cp:
            size = dict(embed_dim=24, decoder_embed_dim=16, decoder_depth=1,
                        decoder_num_heads=2, **SIZE)
            model.backbone = encoder('MaskedViT')(True)
            model.neck = MODELS.build(
                dict(type='sbam_mm.MAEDecoder', with_cp=True, **size))
        return model

    same_for_less(build, lambda model: model.loss(images)['loss'])


def test_nothing_is_kept_or_computed_twice_without_gradients():
    vit = encoder('MaskedViT')(True)
    with torch.no_grad():
        out = vit(torch.randn(1, 3, 32, 32))[-1]
    assert out.grad_fn is None


def test_mmengines_own_checkpointing(tiny_mae):
    """``activation_checkpointing`` of its runner, without our ``with_cp``."""
    from mmengine.runner.activation_checkpointing import (
        turn_on_activation_checkpointing,
    )
    images = torch.randn(4, 3, 32, 32)
    images[1, :, :, :16] *= 0.05

    def build(checkpointed):
        model = tiny_mae('SBAM', noise=0., arch=ARCH)
        if checkpointed:
            turn_on_activation_checkpointing(
                model, [f'backbone.layers.{i}' for i in range(4)])
        return model

    plain, frugal = build(False), build(True)
    frugal.load_state_dict(plain.state_dict())
    loss, gradients, kept = learn(plain, lambda m: m.loss(images)['loss'])
    loss2, gradients2, kept2 = learn(frugal, lambda m: m.loss(images)['loss'])
    torch.testing.assert_close(loss2, loss, rtol=1e-6, atol=1e-7)
    assert gradients.keys() == gradients2.keys()
    for name, value in gradients.items():
        torch.testing.assert_close(
            gradients2[name], value, rtol=1e-5, atol=1e-6)
    assert kept2 + INPUTS < 0.8 * kept, (kept2, kept)
