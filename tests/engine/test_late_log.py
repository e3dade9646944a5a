# Copyright (c) OpenMMLab. All rights reserved.
"""A log that comes one step late holds what one without delay holds."""
import json
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from small_runs import small, write_images
from torch import nn

from sbam_mm.engine.hooks import InvalidLossHook
from sbam_mm.engine.hooks.fetch_log import LateMessageHub, log_unless
from sbam_mm.errors import LossNotFinite


def config(folder, name, late, base='dino_small', **options):
    cfg = small(base)
    cfg.custom_hooks = [
        hook for hook in cfg.custom_hooks
        if hook.type != 'sbam_mm.KNNHook']
    for hook in cfg.custom_hooks:
        if hook.type == 'sbam_mm.InvalidLossHook':
            hook.late = late
    cfg.default_hooks.fetch_log.late = late
    cfg.merge_from_dict({
        'train_dataloader.dataset.data_root': str(folder / 'data'),
        'train_dataloader.dataset.cache': False,
        'train_dataloader.batch_size': 4,
        'train_dataloader.num_workers': 0,
        'train_cfg.max_epochs': 2,
        'default_hooks.logger.interval': 3,
        'work_dir': str(folder / name),
        'experiment_name': f'{folder.name}-{name}',
        'log_level': 'WARNING',
        **options
    })
    return cfg


@pytest.fixture
def folder(tmp_path):
    write_images(tmp_path / 'data')
    return tmp_path


class Reads(Hook):
    """Looks at the loss now and then, as a progress bar does."""

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        if runner.iter % 3 == 1:
            self.seen.append(
                runner.message_hub.get_scalar('train/loss').current())


@pytest.mark.integration
@pytest.mark.parametrize('base, options', [
    ('dino_small', {}),
    ('mae_small', {'optim_wrapper.clip_grad': dict(max_norm=1.)}),
])
def test_the_same_numbers(folder, base, options):
    """In the hub, in the log's file, in checkpoints and for other hooks."""
    found = []
    for late in (False, True):
        runner = Runner.from_cfg(
            config(folder, f'late-{late}', late, base, **options))
        reads = Reads()
        runner.register_hook(reads)
        runner.train()
        assert type(runner.message_hub) is MessageHub
        log, = (folder / f'late-{late}').glob('*/vis_data/scalars.json')
        lines = [{
            key: value for key, value in json.loads(line).items()
            if 'time' not in key
        } for line in log.read_text().splitlines()]
        stored = torch.load(
            folder / f'late-{late}/epoch_1.pth', weights_only=False)
        found.append([
            {key: buffer.data[0].tolist() for key, buffer in scalars.items()
             if 'time' not in key}
            for scalars in (runner.message_hub.log_scalars,
                            stored['message_hub']['log_scalars'])
        ] + [lines, reads.seen])
    assert found[0] == found[1]
    norm = 'grad_norm' if options else 'largest_grad_norm'
    assert len(found[1][0][f'train/{norm}']) == 8
    assert len(found[1][1]['train/loss']) == 4 and len(found[1][3]) == 3


class Break(Hook):
    """Ruins the weights before a step."""
    priority = 'LOWEST'

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            next(runner.model.parameters()).data.fill_(math.nan)


@pytest.mark.integration
@pytest.mark.parametrize('iteration', [2, 7])
def test_no_diverged_weights_are_saved(folder, iteration):
    """Neither between two steps nor after the last one."""
    cfg = config(folder, 'broken', True, 'mae_small')
    cfg.default_hooks.checkpoint = dict(
        type='sbam_mm.CheckpointHook', by_epoch=False, interval=1,
        max_keep_ckpts=-1)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Break(iteration))
    with pytest.raises(LossNotFinite, match=f'iteration {iteration + 1} '):
        runner.train()
    saved = sorted((folder / 'broken').glob('iter_*.pth'))
    assert [path.name for path in saved] == [
        f'iter_{i + 1}.pth' for i in range(iteration)]


@pytest.mark.unit
@pytest.mark.parametrize('moment', [
    'after_train_iter', 'after_train_epoch', 'before_val', 'after_train',
    'before_save_checkpoint'])
def test_a_broken_loss_is_told_before_anybody_looks(moment):
    runner = SimpleNamespace(iter=41, epoch=2, model=nn.Linear(2, 2))
    hook = InvalidLossHook(late=True)
    hook.before_train(runner)
    bad = dict(inputs=torch.full((1, 3, 4, 4), math.nan))
    hook.after_train_iter(runner, 0, bad, dict(loss=torch.tensor(math.inf)))
    runner.iter = 42
    arguments = dict(
        after_train_iter=(0, None, dict(loss=torch.tensor(1.))),
        before_save_checkpoint=({}, )).get(moment, ())
    with pytest.raises(LossNotFinite, match='inf at iteration 42 .*image 0'):
        getattr(hook, moment)(runner, *arguments)


@pytest.mark.unit
def test_what_turns_out_not_to_count_is_left_out():
    """In the order of their logging, with what is logged at once."""
    hub = LateMessageHub.of(MessageHub.get_instance('late'), 'cpu')
    for value, found_inf in ((1., 0.), (math.inf, 1.), (3., 0.)):
        log_unless(hub, 'norm', torch.tensor(value),
                   torch.tensor([found_inf]))
        hub.update_scalar('loss', torch.tensor(2 * value))
        hub.update_scalar('lr', value)
        hub.send()
    assert hub.get_scalar('lr').data[0].tolist() == [1., math.inf, 3.]
    assert len(hub.sent) == 3  # nobody has waited yet
    assert hub.get_scalar('norm').data[0].tolist() == [1., 3.]
    assert hub.get_scalar('loss').data[0].tolist() == [2., math.inf, 6.]
    with pytest.raises(KeyError):
        hub.get_scalar('nothing')
