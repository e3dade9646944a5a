# Copyright (c) OpenMMLab. All rights reserved.
"""Predicting masked patches alone changes neither loss nor gradients."""
import pytest
import torch

from sbam_mm.masking import TokenMask
from sbam_mm.run_switches import exact

pytestmark = pytest.mark.unit


def step(model, images, plain):
    """Loss and gradients for the same draws of the masker."""
    model.zero_grad()
    torch.manual_seed(1)
    with exact(plain):
        out = model.loss(images)
    out['loss'].backward()
    return out, {
        name: p.grad.clone()
        for name, p in model.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize('masker', ['RandomMasker', 'SBAM',
                                    'RandomRatioMasker'])
@pytest.mark.parametrize('reduction', ['token', 'sample'])
@pytest.mark.parametrize('norm_pix', [False, True])
def test_loss_and_gradients_are_the_same(tiny_mae, masker, reduction,
                                         norm_pix):
    model = tiny_mae(masker, reduction=reduction, norm_pix=norm_pix)
    images = torch.randn(5, 3, 32, 32)
    fast, fast_grads = step(model, images, plain=False)
    plain, plain_grads = step(model, images, plain=True)
    torch.testing.assert_close(fast, plain, rtol=1e-6, atol=0)
    assert fast_grads.keys() == plain_grads.keys()
    for name, want in plain_grads.items():
        torch.testing.assert_close(
            fast_grads[name], want, rtol=1e-4,
            atol=1e-5 * want.abs().max().item())


def test_predictions_are_those_of_the_masked_places(tiny_mae):
    """Also where an image hides nothing."""
    model, images = tiny_mae(), torch.randn(4, 3, 32, 32)
    masked = torch.rand(4, 16) < 0.6
    masked[1] = False
    mask = TokenMask(masked)
    latent = model.backbone.encode(model.backbone.embed(images), mask)
    every = model.neck(latent, mask)
    some = model.neck.predict_masked(latent, mask)
    assert some.packed.shape == (int(masked.sum()), every.shape[2])
    zero = every.new_zeros(())
    torch.testing.assert_close(
        some.layout.unpack(some.packed, zero),
        torch.where(masked[..., None], every, zero), rtol=0, atol=1e-5)


def test_visible_patches_are_not_predicted(tiny_mae):
    """What makes it fast: the last layers see masked patches only."""
    model, images = tiny_mae(ratio=0.75), torch.randn(2, 3, 32, 32)
    rows = []
    model.neck.decoder_pred.register_forward_hook(
        lambda _, args, __: rows.append(args[0].shape[:-1].numel()))
    step(model, images, plain=False)
    step(model, images, plain=True)
    assert rows == [2 * 12, 2 * 17 - 2]


def test_thrown_tokens_take_the_plain_path(tiny_mae):
    model = tiny_mae(
        dict(
            type='sbam_mm.Masker',
            salience=dict(type='sbam_mm.AffinitySalience'),
            ratio=dict(type='sbam_mm.FixedRatio', ratio=0.5),
            selection=dict(type='sbam_mm.WeightedOrder', throw=0.3)))
    images = torch.randn(3, 3, 32, 32)
    fast, plain = (step(model, images, plain) for plain in (False, True))
    assert torch.equal(fast[0]['loss'], plain[0]['loss'])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
@pytest.mark.parametrize('masker', ['RandomMasker', 'SBAM'])
def test_bfloat16_on_cuda(tiny_mae, masker):
    arch = dict(
        embed_dims=64, num_layers=2, num_heads=2, feedforward_channels=128)
    model = tiny_mae(masker, arch=arch).cuda()
    images = torch.randn(8, 3, 32, 32, device='cuda')
    with torch.autocast('cuda', torch.bfloat16):
        fast, fast_grads = step(model, images, plain=False)
        plain, plain_grads = step(model, images, plain=True)
    torch.testing.assert_close(fast, plain, rtol=2e-2, atol=1e-3)
    for name, want in plain_grads.items():
        torch.testing.assert_close(
            fast_grads[name], want, rtol=5e-2,
            atol=5e-2 * want.abs().max().item())
