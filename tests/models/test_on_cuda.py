# Copyright (c) OpenMMLab. All rights reserved.
"""Every framework computes on a GPU what it computes on the CPU."""
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample
from tiny_configs import tiny
from torch.overrides import TorchFunctionMode

import sbam_mm.models  # noqa: F401  registers them

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
]
CONFIGS = [
    'sbam_mae_vitb_400e', 'baselines/mae_vitb_400e', 'sbm_mae_vitl_800e',
    *(f'small/{name}_small' for name in (
        'bootmae', 'cae', 'cmae', 'convmae', 'crossmae', 'data2vec2',
        'dino', 'dinov2', 'ibot', 'ijepa',
        'segment_bias_mae', 'segment_bias_dino', 'simmim', 'um_mae')),
    'ibot/ibot_vits_attmask_high_100e', 'baselines/hpm_vitb_200e',
    'baselines/milan_vitb_400e', 'baselines/semmae_vitb_800e',
    'baselines/beit_vitb_800e', 'gpa/gpa_both_mae_vitb_200e',
    'amt/amt_mae_vitb_200e',
]

# Their maskers go by tokens or attention: bfloat16 may hide others.
LOOKING = ('sbam', 'sbm', 'attmask', 'gpa', 'hpm', 'milan')


class RandomOnHost(TorchFunctionMode):
    """Random numbers for a device are drawn on the CPU and copied."""
    NEW = {torch.rand, torch.randn, torch.randint, torch.randperm}
    LIKE = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}
    FILLED = {
        getattr(torch.Tensor, f'{name}_')
        for name in ('uniform', 'normal', 'bernoulli', 'exponential')
    }

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in self.NEW:
            device = kwargs.pop('device', 'cpu')
            return function(*args, **kwargs).to(device)
        if function in self.LIKE:
            drawn = self.LIKE[function](args[0].shape, dtype=args[0].dtype)
            return drawn.to(args[0].device)
        if function in self.FILLED:
            drawn = torch.empty(args[0].shape, dtype=args[0].dtype)
            return args[0].copy_(function(drawn, *args[1:], **kwargs))
        return function(*args, **kwargs)


def moved(batch, device):
    if isinstance(batch, (list, tuple)):
        return [moved(part, device) for part in batch]
    return batch.to(device) if isinstance(
        batch, (torch.Tensor, DataSample)) else batch


def step(model, inputs, samples, device, dtype=None):
    """Losses and gradients of a copy of the model, on the host."""
    model = deepcopy(model).to(device).train()
    torch.manual_seed(1)
    with RandomOnHost(), torch.autocast(
            device, dtype or torch.bfloat16, enabled=dtype is not None):
        losses = model.loss(moved(inputs, device), moved(samples, device))
    total, _ = model.parse_losses(losses)
    total.backward()
    found = {key: value.detach().float().cpu()
             for key, value in losses.items() if 'loss' in key}
    return found, {name: p.grad.float().cpu()
                   for name, p in model.named_parameters()
                   if p.grad is not None}


@pytest.mark.parametrize('config', CONFIGS)
def test_a_step_on_cuda_equals_that_on_the_cpu(config, tmp_path):
    """Masks, losses and gradients in float32; losses in bfloat16, too."""
    torch.manual_seed(0)
    model, *batch = tiny(
        Config.fromfile(ROOT / 'configs' / f'{config}.py'), tmp_path)
    want, want_grads = step(model, *batch, 'cpu')
    got, got_grads = step(model, *batch, 'cuda')
    half, half_grads = step(model, *batch, 'cuda', torch.bfloat16)
    assert want and want.keys() == got.keys() == half.keys()
    assert want_grads.keys() == got_grads.keys() == half_grads.keys()
    for name, loss in want.items():
        torch.testing.assert_close(got[name], loss, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(half[name], loss, rtol=5e-2, atol=1e-2)
    for name, grad in want_grads.items():
        largest = grad.abs().max().item()
        torch.testing.assert_close(
            got_grads[name], grad, rtol=1e-3, atol=1e-6 + 1e-3 * largest,
            msg=lambda text, name=name: f'{name}: {text}')
        assert half_grads[name].isfinite().all(), name
    if not any(word in config for word in LOOKING):
        # A few in a hundred on the CPU in bfloat16, DINO and CMAE the most.
        error, length = (sum(
            x.square().sum() for x in each)**.5 for each in (
                (half_grads[name] - grad for name, grad in
                 want_grads.items()), want_grads.values()))
        assert error < 6e-2 * length
