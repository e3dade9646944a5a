# Copyright (c) OpenMMLab. All rights reserved.
"""Salience from products in TF32 masks what float32's salience masks."""
import pytest
import torch

from sbam_mm.masking import SBM, AffinitySalience, MaskingContext
from sbam_mm.masking import functional as F
from sbam_mm.masking.salience import fast_products
from sbam_mm.models import MaskedViT
from sbam_mm.run_switches import exact
from sbam_mm.visualization import photographs

pytestmark = pytest.mark.unit


@pytest.fixture(scope='module')
def tokens():
    """Of photographs' quarters, as a ViT-S has them at the start."""
    torch.manual_seed(0)
    vit = MaskedViT('small', img_size=224, patch_size=16)
    vit.init_weights()
    crops = [
        torch.from_numpy(image[y:y + 224, x:x + 224].copy()).permute(2, 0, 1)
        for image in photographs().values()
        for y in (0, image.shape[0] - 224) for x in (0, image.shape[1] - 224)
    ]
    with torch.no_grad():
        return vit.embed(torch.stack(crops).sub(120.).div(58.))


def in_tf32(x):
    """Rounded to TF32's 10 bits behind the point."""
    return ((x.view(torch.int32) + 0x1000) & ~0x1fff).view(torch.float32)


def test_photographs_have_nearly_the_same_masks(tokens):
    want, got = (F.min_max(F.outgoing_weight(F.affinity(x)))
                 for x in (tokens, in_tf32(tokens)))
    error = (got - want).abs().max()
    assert 0 < error < 1e-2
    # bfloat16, which autocast would take, is several times as far off.
    coarse = F.min_max(F.outgoing_weight(F.affinity(tokens.bfloat16())))
    assert (coarse - want).abs().max() > 3 * error
    noise = .5 * torch.rand(got.shape)
    masked = [F.hide_top(scores + noise, 49) for scores in (got, want)]
    assert (masked[0] != masked[1]).float().mean() < 2e-3


def test_a_cpu_computes_in_float32(tokens):
    context = MaskingContext(tokens, grid=(14, 14))
    want = AffinitySalience()(context)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(AffinitySalience()(context), want)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_only_autocast_on_cuda_multiplies_in_tf32(tokens):
    x = tokens.cuda()
    context = MaskingContext(x, grid=(14, 14))
    salience, switch = AffinitySalience(), torch.backends.cuda.matmul
    before = switch.fp32_precision
    plain = salience(context)
    with torch.autocast('cuda', torch.bfloat16):
        with fast_products(x):
            assert switch.fp32_precision == 'tf32'
        assert switch.fp32_precision == before
        got = salience(context)
        noise = torch.rand(got.shape).cuda()
        masks = [SBM()(context, noise).masked]
        with exact():
            assert torch.equal(salience(context), plain)
            masks.append(SBM()(context, noise).masked)
    assert not torch.equal(got, plain)
    torch.testing.assert_close(got, plain, rtol=0, atol=1e-2)
    assert (masks[0] != masks[1]).float().mean() < 2e-3
