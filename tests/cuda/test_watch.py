# Copyright (c) OpenMMLab. All rights reserved.
"""What the tests beside this one look for, they would find."""
import pytest
import torch
from mmengine.config import Config
from torch import nn
from watched import (
    ROOT,
    Watch,
    batch_of,
    faked,
    needs_cuda_build,
    running,
)

from sbam_mm.engine.trial_build import build_without_weights

pytestmark = [pytest.mark.unit, needs_cuda_build]
x = 'torch.ones(4, device="cuda")'


@pytest.mark.parametrize('code', [
    f'{x}.sum().item()', f'bool({x}[0] > 0)', f'{x}.tolist()',
    f'{x}[{x} > 0]', f'{x}.nonzero()', f'{x}.cpu()',
    f'{x}.masked_select({x} > 0)', 'torch.tensor([1, 2], device="cuda")',
    'torch.ones(4).cuda()', f'{x}.copy_(torch.ones(4))',
    f'{x}.index_put_(({x} > 0, ), {x}[0])',
])
def test_waits_are_counted(code):
    watch = Watch()
    with running(watch):
        eval(code)
    assert watch.waited.total() == 1, watch.waited


@pytest.mark.parametrize('code', [
    f'{x} * 2', f'{x}.sum() > 0', 'torch.rand(4).tolist()',
    'torch.ones(4).to("cuda", non_blocking=True)',
    f'torch.nonzero_static({x}, size=2)',
])
def test_others_do_not_wait(code):
    watch = Watch()
    with running(watch):
        eval(code)
    assert not watch.waited and not watch.wrong


def reads(x):
    return x * x.mean().item()


def multiplies_by_the_cpu(x):
    return x * torch.tensor(2.)


def is_float64(x):
    return x.double().to(x.dtype)


def is_float32(x):
    with torch.autocast('cuda', enabled=False):
        return (x.float() @ torch.eye(512, device='cuda')).to(x.dtype)


def norm_in_bfloat16(x):
    with torch.autocast('cuda', enabled=False):
        return nn.functional.layer_norm(x, x.shape[-1:])


@pytest.mark.parametrize('fault, finds', [
    (reads, lambda watch: list(watch.waited)),
    (multiplies_by_the_cpu, lambda watch: list(watch.wrong)),
    (is_float64, lambda watch: list(watch.wrong)),
    (is_float32, lambda watch: watch.products['float32']),
    (norm_in_bfloat16, lambda watch: watch.norms - {torch.float32}),
])
def test_a_fault_in_a_model_is_found(fault, finds):
    """After the first layer of a decoder; where there is one, with a line."""
    cfg = Config.fromfile(ROOT / 'configs/baselines/mae_vitb_400e.py')
    watch = Watch()
    with running(watch):
        model = faked(build_without_weights(cfg)).train()
        batch = batch_of(cfg, 3)
        model(*batch, mode='loss')
        assert not finds(watch)
        model.neck.decoder_embed.register_forward_hook(
            lambda layer, inputs, out: fault(out))
        model(*batch, mode='loss')
    found = finds(watch)
    assert found
    if isinstance(found, list):
        assert all('tests/cuda/test_watch.py:' in line for line in found)


def test_mixed_devices_fail():
    with running(Watch()), pytest.raises(RuntimeError, match='device'):
        torch.ones(4, device='cuda') + torch.ones(4)
