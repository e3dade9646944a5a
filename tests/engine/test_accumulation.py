# Copyright (c) OpenMMLab. All rights reserved.
"""Steps made of several batches equal those of one large batch."""
import logging

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from tiny_ibot import tiny_ibot
from tiny_runs import run
from torch import nn

from sbam_mm.datasets import WholeSteps
from sbam_mm.engine.launch import prepare_launch
from sbam_mm.models import masked_mean
from sbam_mm.models.teachers.momentum import MomentumCopy
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.integration
SIZE = dict(img_size=32, patch_size=8)
ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
ENCODER = dict(type='sbam_mm.MaskedViT', arch=ARCH, **SIZE)
DECODER = dict(
    type='sbam_mm.MAEDecoder', embed_dim=24, decoder_embed_dim=16,
    decoder_depth=1, decoder_num_heads=2, **SIZE)
REGRESSOR = dict(
    type='sbam_mm.Regressor', embed_dim=24, decoder_embed_dim=16,
    decoder_num_heads=2, **SIZE)
# Its masks follow tokens alone, so a batch may be cut into pieces.
SBM = dict(type='sbam_mm.SBM', ratio=0.5, noise=0.)
MOVING = dict(momentum=0.5, end_momentum=1.)
MODELS_OF = {
    'teacher':
    dict(
        type='sbam_mm.MAE',
        neck=DECODER,
        head=dict(type='sbam_mm.PixelHead', patch_size=8),
        teacher=dict(type='sbam_mm.MomentumTeacher', **MOVING),
        masker=dict(
            type='sbam_mm.AttMask', source='teacher', ratio=0.5,
            probability=1.)),
    'hpm':
    dict(
        type='sbam_mm.HPM',
        neck=DECODER,
        head=dict(type='sbam_mm.PixelHead', patch_size=8),
        masker=SBM,
        ramp_epochs=1,
        learning='absolute',
        momentum=0.5,
        end_momentum=0.9),
    'bootmae':
    dict(
        type='sbam_mm.BootMAE',
        neck=REGRESSOR,
        head=dict(type='sbam_mm.ChannelPixelHead', patch_size=8),
        feature_regressor=dict(REGRESSOR, predict_feature_dim=24),
        masker=SBM,
        target=dict(
            type='sbam_mm.MomentumTeacher', momentum=0.5,
            milestones=((1, 0.9), ))),
    'ijepa':
    dict(
        type='sbam_mm.IJEPA',
        neck=dict(DECODER, type='sbam_mm.JEPAPredictor'),
        masker=SBM,
        **MOVING),
    'data2vec2':
    dict(
        type='sbam_mm.Data2Vec2',
        neck=dict(
            type='sbam_mm.ConvDecoder', embed_dim=24, decoder_embed_dim=16,
            decoder_depth=2, groups=4, noise=0., img_size=32, patch_size=8),
        masker=SBM,
        num_masks=2,
        top_k=2,
        target=dict(
            type='sbam_mm.MomentumTeacher', momentum=0.5, end_momentum=0.9,
            shape='linear', ramp_epochs=1)),
}
CROPS = (32, 32, 16)
COSINE = [
    dict(
        type='CosineAnnealingLR', T_max=2, begin=0, end=2, by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingParamScheduler', param_name='weight_decay',
        T_max=2, eta_min_ratio=10., begin=0, end=2, by_epoch=True,
        convert_to_iter_based=True),
]


def built(name):
    torch.manual_seed(0)
    if name == 'ibot':
        return tiny_ibot(
            masker=SBM,
            **MOVING,
            cls_loss=dict(warm_up_epochs=2),
            patch_loss=dict(warm_up_epochs=2))
    model = MODELS.build(dict(MODELS_OF[name], backbone=ENCODER))
    model.init_weights()
    return model


def state(name, path, counts, loop='epochs', schedule=COSINE):
    model = built(name)
    iterations = 4 * counts
    run(model,
        path,
        images=16,
        batch_size=8 // counts,
        sizes=CROPS if name == 'ibot' else (32, ),
        shuffle=False,
        accumulation=counts,
        optimizer=dict(type='SGD', lr=0.1, weight_decay=0.01),
        loop=None if loop == 'epochs' else dict(
            by_epoch=False, max_iters=iterations),
        hooks=[dict(type='sbam_mm.EpochSeedHook')],
        schedule=schedule).train()
    return model.state_dict()


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
@pytest.mark.parametrize('name', ['ibot', *MODELS_OF])
def test_pieces_equal_the_whole(tmp_path, name, loop):
    """Teachers, centres, schedules, progress and learning rates."""
    whole = state(name, tmp_path / 'whole', 1, loop)
    pieces = state(name, tmp_path / 'pieces', 4, loop)
    assert whole.keys() == pieces.keys()
    for key, value in whole.items():
        torch.testing.assert_close(
            pieces[key], value, rtol=1e-5, atol=1e-5, msg=key)


class Follower(nn.Module):
    """A parameter that grows by 1 a step, and its moving average."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.average = MomentumCopy(nn.ParameterList([self.weight]), 0.9)

    def train_step(self, data, optim_wrapper):
        with optim_wrapper.optim_context(self):
            self.average.follow(nn.ParameterList([self.weight]))
            loss = -self.weight
        optim_wrapper.update_params(loss)
        return dict(loss=loss.detach())


def test_ten_steps_of_a_momentum_teacher(tmp_path):
    """By hand: after the first copy a_t = .9 a_{t-1} + .1 t."""
    expected = 0.
    for step in range(1, 10):
        expected = 0.9 * expected + 0.1 * step
    for counts in (1, 2, 4):
        model = Follower()
        run(model, tmp_path / str(counts), images=10 * counts, batch_size=1,
            epochs=1, accumulation=counts,
            optimizer=dict(type='SGD', lr=1.)).train()
        assert model.weight == 10.
        assert model.average.module[0] == pytest.approx(expected)


@pytest.mark.parametrize('counts, reduction, exact', [
    ((3, 3, 3, 3), 'token', True),
    ((1, 2, 3, 4), 'token', False),
    ((1, 2, 3, 4), 'sample', True),
])
def test_masked_mean_of_micro_batches(counts, reduction, exact):
    """Its docstring says where two halves are not the whole."""
    values = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    masked = torch.arange(4) < torch.tensor(counts)[:, None]
    whole = masked_mean(values, masked, reduction)
    halves = [masked_mean(values[half], masked[half], reduction)
              for half in (slice(2), slice(2, 4))]
    assert torch.allclose(whole, sum(halves) / 2) == exact


class Rates(Hook):
    """The learning rate of every iteration."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append(runner.optim_wrapper.optimizer.param_groups[0]['lr'])


def test_schedule_goes_on_as_if_nothing_was_exchanged(tmp_path):
    hooks = [Rates(), Rates()]
    for counts, hook in enumerate(hooks, 1):
        runner = run(
            Follower(), tmp_path / str(counts), images=8, batch_size=1,
            accumulation=counts, schedule=COSINE[:1])
        runner.register_hook(hook)
        runner.train()
    assert hooks[0].seen == hooks[1].seen and len(set(hooks[0].seen)) == 16


# Epochs of whole steps

def test_whole_steps_leave_out_the_rest():
    assert list(WholeSteps(range(11), 2, 2)) == [[0, 1], [2, 3], [4, 5],
                                                 [6, 7], [8, 9], [10]]
    batches = WholeSteps(range(11), 2, 2, drop_last=True)
    assert list(batches) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert len(batches) == 4
    with pytest.raises(ValueError, match='makes no step'):
        WholeSteps(range(11), 2, 0)


def test_uneven_epochs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="batch_sampler=dict.*WholeSteps"):
        run(Follower(), tmp_path / 'a', images=5, batch_size=1,
            accumulation=2).train()
    with pytest.raises(ValueError, match='checkpoint.interval=3.*multiple '
                       'of 2'):
        run(Follower(), tmp_path / 'b', images=6, batch_size=1,
            accumulation=2, loop=dict(by_epoch=False, max_iters=6),
            default_hooks=dict(checkpoint=dict(
                type='CheckpointHook', by_epoch=False, interval=3))).train()


def test_resumed_equals_uninterrupted(tmp_path):
    """Where an epoch has 7 iterations and a step 3."""
    class Cut(Hook):

        def after_train_iter(self, runner, batch_idx, data_batch=None,
                             outputs=None):
            if runner.iter == 7:
                raise KeyboardInterrupt

    def go(folder, cut=False, resume=False):
        model = built('teacher')
        runner = run(
            model, tmp_path / folder, images=14, accumulation=3,
            batch_sampler=lambda *args, **kwargs: WholeSteps(
                *args, accumulative_counts=3, **kwargs),
            hooks=[dict(type='sbam_mm.EpochSeedHook')], resume=resume,
            schedule=COSINE)
        if cut:
            runner.register_hook(Cut())
        runner.train()
        return model.state_dict()

    through = go('through')
    with pytest.raises(KeyboardInterrupt):
        go('cut', cut=True)
    resumed = go('cut', resume=True)
    for name, value in through.items():
        assert torch.equal(resumed[name], value), name


def test_tools_make_whole_steps(request):
    root = request.config.rootpath
    cfg = Config.fromfile(root / 'configs/sbam_mae_vitl_800e.py')
    cfg.merge_from_dict({'train_dataloader.batch_size': 256,
                         'optim_wrapper.accumulative_counts': 2})
    notes = prepare_launch(cfg, 'none')
    assert 'no whole one are left out' in notes[0]
    assert cfg.train_dataloader.batch_sampler == dict(
        type='sbam_mm.WholeSteps', accumulative_counts=2, drop_last=True)
    assert 'drop_last' not in cfg.train_dataloader
    plain = Config.fromfile(root / 'configs/sbam_mae_vitl_800e.py')
    prepare_launch(plain, 'none')
    assert 'batch_sampler' not in plain.train_dataloader


# The learning rate for a batch of steps

@pytest.mark.parametrize('name, batch, counts, rate', [
    # The recipes on 8 GPUs: a step has the 4096 images it is meant for.
    ('convmae/convmae_base_800e', None, None, 2.4e-3),
    ('sbam_mae_vitl_800e', 256, 2, 2.4e-3),
    ('sbam_mae_vitl_800e', 256, 1, 1.2e-3),
    ('mmdet/vitdet_vitl_100e_coco', None, None, 1e-4),
])
def test_recipes_keep_their_rate(request, tmp_path, name, batch, counts,
                                 rate):
    cfg = Config.fromfile(request.config.rootpath / f'configs/{name}.py')
    batch = batch or cfg.train_dataloader.batch_size
    counts = counts or cfg.optim_wrapper.accumulative_counts
    runner = run(
        Follower(), tmp_path / 'run', batch_size=batch, accumulation=counts,
        optimizer=dict(type='SGD', lr=cfg.optim_wrapper.optimizer.lr))
    runner._world_size = 8
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    runner.logger.addHandler(handler)
    runner.logger.setLevel('INFO')
    runner.scale_lr(wrapper, dict(cfg.auto_scale_lr, enable=True))
    assert wrapper.optimizer.param_groups[0]['lr'] == pytest.approx(rate)
    assert len(records) == 1
    assert f'{batch} images x 8 processes x {counts} accumulated' in records[0]
    assert f'becomes {rate:g}' in records[0]
