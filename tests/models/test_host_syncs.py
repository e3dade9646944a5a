# Copyright (c) OpenMMLab. All rights reserved.
"""A training step waits for the device once at most.

On the CPU nothing waits, so what would wait is counted: values that go from
a tensor to Python, and operations whose result has a size that only the data
know.
"""
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_configs
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from PIL import Image
from small_runs import write_images
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from sbam_mm.engine.hooks import ClipEachGradientHook
from sbam_mm.engine.hooks.fetch_log import LateMessageHub, log_clipping_late
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
    ('ColorMAEMasker', 0),
    ('InverseBlockMasker', 0),
    (dict(type='sbam_mm.InverseBlockMasker', size=None), 0),
    (dict(type='sbam_mm.SelfGuidedMasker', start_progress=0.), 0),
    ('CurriculumMasker', 0),
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


# Waits of one step of every method, forward, backward and optimizer: by the
# masker, R for equally many masked patches in every image, S for SBAM's.
STEPS = {
    'baselines/mae_vitb_400e': dict(R=0, S=1),
    'baselines/beit_vitb_800e': dict(R=0, S=1),
    'baselines/hpm_vitb_200e': dict(R=0, S=1, own=0),
    'baselines/milan_vitb_400e': dict(R=0, S=1),
    'baselines/um_mae_vitb_200e': dict(S=1, own=0),
    'baselines/semmae_vitb_800e': dict(own=0),
    # Images throw equally many tokens, but which stay is unequal.
    'baselines/amt_mae_vitb_400e': dict(own=1),
    'bootmae/bootmae_vitb_800e': dict(R=0, S=1),
    'cae/cae_vits_300e': dict(R=0, S=1),
    'cmae/cmae_vitb_300e': dict(R=0, S=1),
    'convmae/convmae_base_800e': dict(R=0, S=1),
    'crossmae/crossmae_vitb_800e': dict(R=0, S=1),
    'data2vec2/data2vec2_vitb_75e': dict(own=0, S=1),
    'dino/dino_vits_100e': dict(own=0, S=1),
    'gpa/gpa_both_mae_vitb_200e': dict(own=0),
    'gpa/gpa_feature_mae_vitb_200e': dict(own=0),
    # How many patches are to be predicted, of all images together.
    'ibot/ibot_vitb_100e': dict(R=0, S=1),
    # Lengths of contexts, of contexts with a target, and of targets.
    'ijepa/ijepa_vith14_300e': dict(R=2, S=3),
    'segment_bias/mae_vitb16_bias_1600e': dict(R=0, S=1),
    'segment_bias/mae_vitb16_distill_1600e': dict(own=0),
    'segment_bias/dino_vits16_bias_300e': dict(own=0),
    'segment_bias/dino_vits16_distill_300e': dict(own=0),
    # Mask tokens stand for masked ones, whatever their number.
    'simmim/simmim_vitb_800e': dict(R=0, S=0),
}
MASKERS = dict(R='RandomMasker', S='SBAM')


@pytest.mark.parametrize('config, masker, waited', [
    (config, masker, waited) for config, cases in STEPS.items()
    for masker, waited in cases.items()])
def test_a_step_of_every_method(config, masker, waited, tmp_path):
    """With the optimizer's part: momentum copies, clipping, groups."""
    cfg = Config.fromfile(ROOT / f'configs/{config}.py')
    if masker in MASKERS:
        cfg.model.masker = ConfigDict(type=f'sbam_mm.{MASKERS[masker]}')
        cfg.model.backbone.drop_path_rate = 0.
    model, inputs, samples = tiny_configs.tiny(cfg, tmp_path)
    model.train()
    # AdamW reads how many steps it took, from a tensor that stays on the CPU.
    options = dict(cfg.optim_wrapper, type='OptimWrapper',
                   optimizer=dict(type='SGD', lr=.1, weight_decay=.05))
    for name in ('dtype', 'loss_scale'):
        options.pop(name)
    wrapper = build_optim_wrapper(model, options)
    hub = LateMessageHub.of(MessageHub.get_instance(tmp_path.name), 'cpu')
    log_clipping_late(hub, wrapper)
    if any('ClipEach' in hook.type for hook in cfg.custom_hooks):
        ClipEachGradientHook().before_train(SimpleNamespace(
            optim_wrapper=wrapper, message_hub=hub))

    def step():
        losses = model(inputs, samples, mode='loss')
        loss, logged = model.parse_losses(losses)
        wrapper.update_params(loss)
        for name, value in logged.items():
            hub.update_scalar(name, value)
        hub.send()

    step()  # tables that are made once, and the copy of a momentum teacher
    with Syncs() as names:
        step()
    assert len(names) == waited, names
    # Nothing of it was lost.
    assert len(hub.get_scalar('loss').data[0]) == 2


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
@pytest.mark.parametrize('config, most', [
    ('mae', 0), ('sbam', 1), ('dino', 0), ('ibot', 1)])
def test_a_step_of_the_runner_on_cuda(config, most, tmp_path):
    """The log included, unless it is printed.

    iBOT's own rectangles are searched on the host, for a drawn number of
    patches; how many there are is then read behind the device's back.
    """
    write_images(tmp_path)
    cfg = Config.fromfile(ROOT / f'configs/small/{config}_small.py')
    cfg.merge_from_dict({
        'train_dataloader.dataset.data_root': str(tmp_path),
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0,
        'train_dataloader.pin_memory': True,
        'model.data_preprocessor.non_blocking': True,
        'train_cfg.max_epochs': 1,
        'default_hooks.checkpoint': None,
        'work_dir': str(tmp_path / 'run'),
        'experiment_name': f'cuda-{config}',
        'log_level': 'WARNING',
    })
    cfg.custom_hooks = [
        hook for hook in cfg.custom_hooks if hook.type != 'sbam_mm.KNNHook']
    runner = Runner.from_cfg(cfg)
    loop = runner.train_loop
    steps, run = [], loop.run_iter

    def counted(*args):
        torch.cuda.set_sync_debug_mode('warn')
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter('always')
                run(*args)
        finally:
            torch.cuda.set_sync_debug_mode('default')
        steps.append([str(w.message) for w in caught
                      if 'called a synchronizing' in str(w.message)])

    loop.run_iter = counted
    runner.train()
    assert len(steps) == 8
    # The first step makes tables, the last one is printed.
    assert all(len(told) <= most for told in steps[1:-1]), steps
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 8
