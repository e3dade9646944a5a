# Copyright (c) OpenMMLab. All rights reserved.
"""A training step waits for the device once at most.

On the CPU nothing waits, so what would wait is counted: values that go from
a tensor to Python, and operations whose result has a size that only the data
know.
"""
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from sbam_mm.run_switches import exact

ROOT = Path(__file__).parents[2]
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
        self.names = list()
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


@pytest.mark.parametrize('masker, most', [('RandomMasker', 0), ('SBAM', 1)])
@pytest.mark.parametrize('prediction', [1 / 3, 1])
@pytest.mark.parametrize('looks_at', [(), ('input', 0, 1)])
def test_a_step_of_crossmae(tiny_mae, masker, most, prediction, looks_at):
    """The share of patches to predict is chosen on the device."""
    test_a_step_of_mae(
        partial(
            tiny_mae,
            neck=dict(
                type='sbam_mm.CrossDecoder',
                looks_at=looks_at,
                prediction=prediction)), masker, most, False)


@pytest.mark.integration
@pytest.mark.parametrize('config, most', [('mae', 1), ('sbam', 2)])
def test_a_step_of_the_runner(config, most, tmp_path):
    """One more: the log, once the whole step is on its way."""
    (tmp_path / 'train').mkdir()
    for i in range(12):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(
            tmp_path / f'train/{i}.png')
    cfg = Config.fromfile(ROOT / f'configs/small/{config}_small.py')
    cfg.merge_from_dict({
        'train_dataloader.dataset.data_root': str(tmp_path),
        'train_dataloader.batch_size': 4,
        'train_dataloader.num_workers': 0,
        'train_cfg.max_epochs': 1,
        'default_hooks.checkpoint': None,
        'work_dir': str(tmp_path / 'run'),
        'experiment_name': f'syncs-{config}',
        'log_level': 'WARNING',
    })
    # AdamW reads how many steps it took, from a tensor that stays on the CPU.
    cfg.optim_wrapper = dict(optimizer=dict(type='SGD', lr=.1))
    cfg.custom_hooks = cfg.custom_hooks[:-1]  # without the kNN
    runner = Runner.from_cfg(cfg)
    loop = runner.train_loop
    steps, run = [], loop.run_iter

    def counted(*args):
        with Syncs() as names:
            run(*args)
        steps.append(names)

    loop.run_iter = counted
    runner.train()
    assert len(steps) == 3
    assert all(len(names) <= most for names in steps), steps


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
