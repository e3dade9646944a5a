# Copyright (c) OpenMMLab. All rights reserved.
"""A training step waits for the device once at most.

On the CPU nothing waits, so what would wait is counted: values that go from
a tensor to Python, and operations whose result has a size that only the data
know.
"""
import warnings

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from sbam_mm.exact import exact

pytestmark = pytest.mark.unit

READS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten._unique2.default,
}
# An index of booleans is turned into numbers first.
INDEXED = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
}
# A list or an array of a tensor on the CPU is made without an operation.
METHODS = {torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy}


def waits(function, args):
    """Whether an operation on a device would make the host wait."""
    if function in INDEXED:
        return any(i is not None and i.dtype == torch.bool for i in args[1])
    return function in READS


class Syncs:
    """Names of what would make the host wait, inside a ``with``."""

    def __init__(self):
        self.names = []
        names = self.names

        class Operations(TorchDispatchMode):

            def __torch_dispatch__(self, function, types, args=(),
                                   kwargs=None):
                if waits(function, args):
                    names.append(str(function))
                return function(*args, **(kwargs or {}))

        class Methods(TorchFunctionMode):

            def __torch_function__(self, function, types, args=(),
                                   kwargs=None):
                if function in METHODS:
                    names.append(function.__name__)
                return function(*args, **(kwargs or {}))

        self.modes = Operations(), Methods()

    def __enter__(self):
        for mode in self.modes:
            mode.__enter__()
        return self.names

    def __exit__(self, *error):
        for mode in reversed(self.modes):
            mode.__exit__(*error)


def test_the_counter_counts():
    x = torch.tensor([1., 0.])
    with Syncs() as names:
        x.sum().item(), bool(x[0] > 0), x.tolist(), x[x > 0], x.nonzero()
    assert len(names) == 5


@pytest.mark.parametrize('masker, most', [
    ('RandomMasker', 0),
    ('SBM', 0),
    ('GridMasker', 0),
    ('SBAM', 1),
    ('RandomRatioMasker', 1),
    (dict(type='sbam_mm.SBAM', scope='batch'), 1),
])
@pytest.mark.parametrize('plain', [False, True])
def test_a_step_of_mae(tiny_mae, masker, most, plain):
    model = tiny_mae(masker)
    images = torch.randn(4, 3, 32, 32)
    with exact(plain):
        model.loss(images)  # tables that are made once
        with Syncs() as names:
            model.loss(images)['loss'].backward()
    assert len(names) <= most, names


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
@pytest.mark.parametrize('masker, most', [('RandomMasker', 0), ('SBM', 0),
                                          ('SBAM', 1)])
def test_a_step_on_cuda(tiny_mae, masker, most):
    arch = dict(
        embed_dims=64, num_layers=2, num_heads=2, feedforward_channels=128)
    model = tiny_mae(masker, arch=arch).cuda()
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], fused=True)
    images = torch.randn(8, 3, 32, 32, device='cuda')

    def step():
        optimizer.zero_grad()
        with torch.autocast('cuda', torch.bfloat16):
            loss = model.loss(images)['loss']
        loss.backward()
        optimizer.step()

    step()
    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            step()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    told = [str(w.message) for w in caught if 'synchroniz' in str(w.message)]
    assert len(told) <= most, told
