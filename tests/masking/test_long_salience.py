# Copyright (c) OpenMMLab. All rights reserved.
"""Salience of long sequences without L x L equals the plain one."""
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sbam_mm.masking import AffinitySalience, MaskingContext
from sbam_mm.masking import functional as F
from sbam_mm.masking.salience import LONG
from sbam_mm.run_switches import exact

pytestmark = pytest.mark.unit


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that any operation makes."""
    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


def tokens(length, dim, strength=0.3, images=2):
    generator = torch.Generator().manual_seed(0)
    return strength * torch.randn(images, length, dim, generator=generator)


@pytest.mark.parametrize('scale, normalize', [(None, False), (0.25, False),
                                              (3., True)])
@pytest.mark.parametrize('chunk', [1, 7, 40, 64, None])
def test_chunks_equal_the_whole(scale, normalize, chunk):
    x = tokens(40, 16)
    want = F.outgoing_weight(F.affinity(x, scale, normalize))
    got = F.chunked_outgoing_weight(x, scale, normalize, chunk)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=0)
    torch.testing.assert_close(got.mean(1), torch.ones(2))


def test_large_logits_do_not_overflow():
    """ViT-B tokens give logits of 2000; exp(2000) is infinite."""
    x = tokens(40, 16, strength=11.)
    want = F.outgoing_weight(F.affinity(x))
    assert (x[0] @ x[0].T).max() > 2000 and torch.isfinite(want).all()
    got = F.chunked_outgoing_weight(x, chunk=8)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-30)


def test_half_precision_tokens_are_summed_in_float32():
    x = tokens(40, 16).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        got = F.chunked_outgoing_weight(x)
        want = F.outgoing_weight(F.affinity(x))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, want, rtol=1e-5, atol=0)


def test_long_sequences_never_hold_the_matrix():
    x = tokens(LONG, 8, images=1)
    context = MaskingContext(x, grid=(32, LONG // 32))
    salience = AffinitySalience()
    with LargestTensor() as fast:
        got = salience(context)
    with exact(), LargestTensor() as plain:
        want = salience(context)
    assert plain.elements == LONG**2
    assert fast.elements == LONG**2 // 32
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)
    assert not torch.equal(got, want)  # another order of the sums
