# Copyright (c) OpenMMLab. All rights reserved.
"""Salience from bfloat16 halves masks what float32's salience masks."""
import golden_files
import pytest
import torch

from sbam_mm.masking import SBM, AffinitySalience, MaskingContext
from sbam_mm.masking import functional as F
from sbam_mm.masking.halves import (
    halves,
    outgoing_weight_by_halves,
    product,
    runs_by_halves,
)
from sbam_mm.models import MaskedViT
from sbam_mm.run_switches import exact
from sbam_mm.visualization import photographs

pytestmark = pytest.mark.unit
GOLDEN = golden_files.load('sbm_mask')
SETS = sorted(key for key in GOLDEN if key.endswith('/tokens'))


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


def plain(x):
    x = x.double()
    return F.outgoing_weight(x @ x.mT)


def test_halves_sum_to_the_number():
    x = torch.randn(1000).exp()
    high, low = halves(x)
    assert high.dtype == low.dtype == torch.bfloat16
    torch.testing.assert_close(
        high.float() + low.float(), x, rtol=2**-17, atol=0)


def test_photographs_have_the_same_masks(tokens):
    want = F.min_max(plain(tokens))
    got = F.min_max(outgoing_weight_by_halves(tokens))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), want, rtol=0, atol=1e-3)
    # A product of bfloat16 alone is more than ten times as far off.
    coarse = F.min_max(plain(tokens.bfloat16()))
    assert (coarse - want).abs().max() > 10 * (got - want).abs().max()
    noise = torch.rand(got.shape)
    for n in (20, 49, 100):
        masked = [F.hide_top(scores + .5 * noise, n)
                  for scores in (got, want.float())]
        assert torch.equal(*masked)


@pytest.mark.parametrize('name', SETS)
def test_golden_tokens(name):
    """Large, small, equal and saturated logits."""
    x = GOLDEN[name].float()
    torch.testing.assert_close(
        outgoing_weight_by_halves(x).double(), plain(x), rtol=0, atol=2e-3)


@pytest.mark.parametrize('scale, normalize', [(None, False), (.25, False),
                                              (3., True)])
@pytest.mark.parametrize('logits', [2**21, 200])
def test_options_and_pieces(monkeypatch, scale, normalize, logits):
    monkeypatch.setattr('sbam_mm.masking.halves.LOGITS', logits)
    x = .5 * torch.randn(5, 40, 16)
    want = F.outgoing_weight(F.affinity(x, scale, normalize))
    for images in (None, 1, 2, 5):
        got = outgoing_weight_by_halves(x, scale, normalize, images)
        torch.testing.assert_close(got, want, rtol=2e-4, atol=0)


def test_a_token_that_is_not_finite_reaches_the_score():
    """So that its image is masked at random, as with float32."""
    x = torch.randn(2, 8, 4)
    x[0, 3, 1] = torch.inf
    scores = F.min_max(outgoing_weight_by_halves(x))
    assert (scores[0] == 0).all() and (scores[1] > 0).any()


def test_a_cpu_computes_in_float32():
    x = torch.randn(2, 8, 4)
    with torch.autocast('cpu', torch.bfloat16):
        assert not runs_by_halves(x)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_cuda_under_autocast_multiplies_halves(tokens):
    """The float32 sums are the CPU's up to their order; `exact` has none."""
    x = tokens.cuda()
    context = MaskingContext(x, grid=(14, 14))
    salience = AffinitySalience()
    on_cpu = halves(tokens)
    torch.testing.assert_close(
        product(on_cpu.cuda(), on_cpu.cuda(), None).cpu(),
        product(on_cpu, on_cpu, None), rtol=1e-5, atol=2e-3)
    with torch.autocast('cuda', torch.bfloat16):
        assert runs_by_halves(x)
        got = salience(context)
        with exact():
            assert not runs_by_halves(x)
            want = salience(context)
        noise = torch.rand(got.shape).cuda()
        masks = [SBM()(context, noise).masked]
        with exact():
            masks.append(SBM()(context, noise).masked)
    assert not torch.equal(got, want)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-3)
    assert torch.equal(*masks)
