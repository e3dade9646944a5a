# Copyright (c) OpenMMLab. All rights reserved.
"""mmengine's loops over epochs and over iterations train alike."""
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from tiny_ibot import tiny_ibot
from tiny_runs import run

from sbam_mm.models.progress import clock
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.integration
CROPS = (32, 32, 16)
HOOKS = [
    dict(type='sbam_mm.EpochSeedHook'),
    dict(type='sbam_mm.FreezeLastLayerHook', epochs=1),
]
ITERATIONS = dict(by_epoch=False, max_iters=12, val_interval=1000)


class Diary(Hook):
    """What models are told and what they do, iteration by iteration."""

    def __init__(self):
        self.lines = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.batch = sum(
            float(view.double().sum()) for view in data_batch['inputs'])

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        now = clock()
        model = runner.model
        self.lines.append(
            (self.batch, now.progress, now.epoch, now.epochs,
             float(outputs['loss']), float(outputs['mask_ratio']),
             model.momentum_teacher.momentum(),
             model.cls_loss.teacher_temperature(now.epoch)))


def ibot():
    return tiny_ibot(
        masker=dict(type='sbam_mm.RandomMasker', ratio=0.5),
        mim_start_epoch=1,
        cls_loss=dict(warm_up_epochs=3),
        momentum=0.9)


def trained(path, loop=None, epochs=3, **options):
    model = ibot()
    diary = Diary()
    options = {'hooks': HOOKS, **options}
    runner = run(
        model, path, sizes=CROPS, loop=loop, epochs=epochs, **options)
    runner.register_hook(diary)
    runner.train()
    return model.state_dict(), diary.lines


@pytest.mark.parametrize('workers', [0, 2])
def test_loops_agree_to_the_bit(tmp_path, workers):
    wanted, told = trained(tmp_path / 'epochs', workers=workers)
    got, said = trained(tmp_path / 'iterations', ITERATIONS, workers=workers)
    assert [line[2] for line in said] == [0] * 4 + [1] * 4 + [2] * 4
    assert [line[5] for line in said] == [0.] * 4 + [.5] * 8
    assert said == told
    for name, value in wanted.items():
        assert torch.equal(got[name], value), name


class PowerCut(Hook):
    """Ends a training in the middle of an epoch."""

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        if runner.iter == 5:
            raise KeyboardInterrupt


@pytest.mark.parametrize('sampler', [DefaultSampler, InfiniteSampler])
@pytest.mark.parametrize('forward', [False, True])
def test_iterations_resume_to_the_bit(tmp_path, sampler, forward):
    options = dict(
        loop=dict(ITERATIONS, fast_forward_on_resume=forward),
        sampler=sampler,
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', by_epoch=False, interval=4)))
    through, told = trained(tmp_path / 'through', **options)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / 'cut', hooks=[*HOOKS, PowerCut()], **options)
    resumed, said = trained(tmp_path / 'cut', resume=True, **options)
    assert said == told[4:]
    for name, value in through.items():
        assert torch.equal(resumed[name], value), name
    # Each epoch shows every image once.
    epochs = [sum(line[0] for line in told[i:i + 4]) for i in (0, 4, 8)]
    assert epochs == pytest.approx([epochs[0]] * 3)
    assert len({line[0] for line in told}) > 4


def test_middle_of_an_epoch_is_refused(tmp_path):
    checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=6)
    trained(tmp_path / 'run', dict(ITERATIONS, max_iters=6),
            default_hooks=dict(checkpoint=checkpoint))
    with pytest.raises(ValueError, match='middle of an epoch of 4'):
        trained(tmp_path / 'run', ITERATIONS, resume=True)


def test_runner_that_knows_nothing_of_us(tmp_path):
    """No hook of ours: the model's epochs move all the same."""
    _, told = trained(tmp_path / 'epochs', hooks=[])
    _, said = trained(tmp_path / 'iterations', ITERATIONS, hooks=[])
    assert [line[:4] + line[6:] for line in said] == [
        line[:4] + line[6:] for line in told]


def test_milestones_and_ramps(tmp_path):
    """BootMAE's momentum and weight, counted in epochs."""
    size = dict(img_size=32, patch_size=8)
    arch = dict(
        embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
    regressor = dict(
        type='sbam_mm.Regressor', embed_dim=24, decoder_embed_dim=16,
        decoder_num_heads=2, **size)

    class Curve(Hook):

        def after_train_iter(self, runner, batch_idx, data_batch=None,
                             outputs=None):
            self.seen.append((float(outputs['feature_weight']),
                              runner.model.target.average.momentum()))

    def curve(loop):
        torch.manual_seed(0)
        model = MODELS.build(
            dict(
                type='sbam_mm.BootMAE',
                backbone=dict(type='sbam_mm.MaskedViT', arch=arch, **size),
                neck=regressor,
                head=dict(type='sbam_mm.ChannelPixelHead', patch_size=8),
                feature_regressor=dict(regressor, predict_feature_dim=24),
                target=dict(
                    type='sbam_mm.MomentumTeacher', momentum=0.5,
                    milestones=((2, 0.9), (4, 0.99))),
                ramp=0.5))
        hook = Curve()
        hook.seen = []
        runner = run(model, tmp_path / str(loop is None), loop=loop, epochs=6,
                     hooks=HOOKS[:1])
        runner.register_hook(hook)
        runner.train()
        return hook.seen

    wanted = curve(None)
    assert len(set(wanted)) > 6
    assert curve(dict(by_epoch=False, max_iters=24)) == wanted


def test_knn_follows_epochs(tmp_path, monkeypatch):
    from sbam_mm.evaluation import KNNHook
    seen = []
    monkeypatch.setattr(KNNHook, 'before_train', lambda *args: None)
    monkeypatch.setattr(KNNHook, '_evaluate',
                        lambda self, runner, epoch: seen.append(epoch))
    hook = KNNHook(bank={}, query={}, interval=2)
    for loop in (None, dict(by_epoch=False, max_iters=12)):
        runner = run(ibot(), tmp_path / str(loop is None), sizes=CROPS,
                     loop=loop, epochs=3, hooks=HOOKS[:1])
        runner.register_hook(hook)
        runner.train()
    assert seen == [2, 3] * 2


def test_nothing_stays_behind(tmp_path):
    trained(tmp_path / 'run', ITERATIONS, accumulation=2)
    info = MessageHub.get_current_instance().runtime_info
    assert 'epoch_iters' not in info and 'accumulative_counts' not in info
