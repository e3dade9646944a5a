# Copyright (c) OpenMMLab. All rights reserved.
"""Schedules of data sets that are small beside their warm-up."""
import copy

import pytest
import torch
from mmengine.hooks import Hook
from tiny_runs import run
from torch import nn

from sbam_mm.config_files import read_config
from sbam_mm.engine.schedule import fit_schedule

EPOCHS = 4
WARM_UP = dict(
    type='LinearLR', start_factor=0.01, begin=0, end=0.1 * EPOCHS,
    by_epoch=True, convert_to_iter_based=True)
COSINE = dict(
    type='CosineAnnealingLR', T_max=0.9 * EPOCHS, begin=0.1 * EPOCHS,
    end=EPOCHS, by_epoch=True, convert_to_iter_based=True)


class Weight(nn.Module):

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def train_step(self, data, optim_wrapper):
        optim_wrapper.update_params(self.weight.square())
        return dict(loss=self.weight.detach())


class Rates(Hook):
    """The learning rate of every iteration."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append(
            runner.optim_wrapper.optimizer.param_groups[0]['lr'])


def rates(path, images, schedule, epochs=EPOCHS, **options):
    hook = Rates()
    runner = run(
        Weight(), path, images=images, batch_size=4, epochs=epochs,
        schedule=copy.deepcopy(schedule), **options)
    runner.register_hook(hook)
    runner.train()
    return hook.seen


@pytest.mark.integration
@pytest.mark.parametrize('images, left', [(4, 0), (8, 0), (16, 0), (20, 2),
                                          (80, 8)])
def test_warm_up_reaches_the_rate(tmp_path, images, left):
    """One of no or one iteration would leave the rate at its start."""
    seen = rates(tmp_path / 'run', images, [WARM_UP, COSINE])
    assert len(seen) == EPOCHS * images // 4
    assert max(seen) == pytest.approx(0.1)
    assert seen.index(max(seen)) == max(left - 1, 0)
    # Down to the end, along the cosine.
    assert seen[max(left - 1, 0):] == sorted(
        seen[max(left - 1, 0):], reverse=True)
    assert 0 <= seen[-1] < 0.1


@pytest.mark.integration
def test_long_enough_schedules_stay(tmp_path, monkeypatch):
    from sbam_mm.engine import schedule
    parts = [WARM_UP, COSINE]
    assert fit_schedule(parts, 20) == (parts, [])
    fitted = rates(tmp_path / 'a', 80, parts)
    monkeypatch.setattr(
        schedule, 'fit_schedule', lambda parts, iterations: (parts, []))
    assert rates(tmp_path / 'b', 80, parts) == fitted


@pytest.mark.unit
def test_what_is_left_out_is_said():
    decay = dict(
        type='CosineAnnealingParamScheduler', param_name='weight_decay',
        T_max=4, begin=0, end=4, convert_to_iter_based=True)
    own = dict(type='LinearLR', start_factor=0.1, begin=0, end=0.2)
    parts, notes = fit_schedule([WARM_UP, COSINE, decay, own], 2)
    assert parts == [dict(COSINE, begin=0, T_max=4), decay, own]
    assert notes == [
        'The schedule shrinks: the warm-up by LinearLR from epoch 0 to 0.4 '
        'is left out; its iterations would be 0, those of an epoch are 2.'
    ]
    assert WARM_UP['end'] == COSINE['begin'] == 0.4  # nothing is changed
    # In the middle and at the end, and of several optimizers.
    tail = dict(type='ConstantLR', factor=0.5, begin=4, end=4.2,
                convert_to_iter_based=True)
    parts, notes = fit_schedule(dict(a=[COSINE, tail], b=decay), 3)
    assert parts == dict(a=[COSINE], b=[decay]) and len(notes) == 1
    with pytest.raises(ValueError, match='lower train_dataloader.batch_size'):
        fit_schedule([COSINE], 0)


@pytest.mark.unit
@pytest.mark.parametrize('iterations', [1, 2, 3])
def test_every_recipe_fits_few_images(request, iterations):
    """No part of any config begins where it ends."""
    configs = request.config.rootpath / 'configs'
    for path in sorted(configs.rglob('*.py')):
        cfg = read_config(path)
        parts, _ = fit_schedule(cfg.get('param_scheduler') or [], iterations)
        for part in parts:
            if part.get('convert_to_iter_based'):
                begin, end = (int(part[key] * iterations)
                              for key in ('begin', 'end'))
                assert begin < end, path
