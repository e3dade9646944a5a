# Copyright (c) OpenMMLab. All rights reserved.
"""Clipping per tensor, the frozen last layer, and weight decay over time."""
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import CosineAnnealingParamScheduler, build_optim_wrapper
from torch import nn

from sbam_mm.engine.hooks import ClipEachGradientHook, FreezeLastLayerHook
from sbam_mm.models import DINOHead

pytestmark = pytest.mark.unit


def runner_for(model, **optimizer):
    optim = torch.optim.AdamW(model.parameters(), **optimizer)
    return SimpleNamespace(
        model=model,
        epoch=0,
        optim_wrapper=SimpleNamespace(optimizer=optim),
        message_hub=MessageHub.get_current_instance())


def test_every_tensor_is_clipped_by_its_own_norm():
    model = nn.ParameterList([torch.zeros(2), torch.zeros(2), torch.zeros(2)])
    runner = runner_for(model)
    hook = ClipEachGradientHook(max_norm=3.)
    hook.before_train(runner)
    model[0].grad = torch.tensor([30., 40.])
    model[1].grad = torch.tensor([1., 2.])
    runner.optim_wrapper.optimizer.step()
    torch.testing.assert_close(model[0].grad, torch.tensor([1.8, 2.4]))
    assert model[1].grad.tolist() == [1., 2.] and model[2].grad is None
    scalar = runner.message_hub.get_scalar('train/largest_grad_norm')
    assert scalar.current() == pytest.approx(50.)
    with pytest.raises(ValueError, match='max_norm'):
        ClipEachGradientHook(0.)


def test_last_layer_waits_and_then_starts_afresh():
    model = nn.Module()
    model.head = DINOHead(
        4, out_dim=6, hidden_dim=5, bottleneck_dim=3, norm_last_layer=False)
    runner = runner_for(model, lr=0.1, weight_decay=0.5)
    hook = FreezeLastLayerHook(epochs=1)
    hook.before_train(runner)
    optimizer = runner.optim_wrapper.optimizer

    def step():
        before = {k: v.clone() for k, v in model.named_parameters()}
        optimizer.zero_grad()
        model.head(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
        return {
            k for k, v in model.named_parameters()
            if not torch.equal(v, before[k])
        }

    names = {k for k, _ in model.named_parameters()}
    last = {k for k in names if 'last_layer' in k}
    assert len(last) == 2
    assert step() == names - last
    runner.epoch = 1
    assert step() == names
    # The optimizer's moments of the last layer count its own steps only.
    assert {
        int(optimizer.state[p]['step'])
        for p in model.head.prototype_parameters()
    } == {1}

    runner.model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match='remove the hook'):
        hook.before_train(runner)


def test_weight_decay_follows_a_cosine_where_there_is_any(request):
    """mmengine's own schedule, by ratio, as the configs have it."""
    root = request.config.rootpath
    cfg = Config.fromfile(root / 'configs/ibot/ibot_vitb_100e.py')
    schedule = cfg.param_scheduler[-1]
    assert schedule.param_name == 'weight_decay'
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=cfg.optim_wrapper.optimizer,
            paramwise_cfg=cfg.optim_wrapper.paramwise_cfg))
    steps = 50
    scheduler = CosineAnnealingParamScheduler(
        wrapper,
        'weight_decay',
        T_max=steps,
        eta_min_ratio=schedule.eta_min_ratio,
        by_epoch=False)
    for step in range(steps):
        wanted = 0.4 + (0.04 - 0.4) * (1 + math.cos(
            math.pi * step / steps)) / 2
        decays = [g['weight_decay'] for g in wrapper.optimizer.param_groups]
        assert decays == pytest.approx([wanted, 0., 0., 0.])
        wrapper.optimizer.step()
        scheduler.step()


@pytest.mark.parametrize('overflow', [False, True])
def test_fused_steps_are_clipped_unscaled(overflow):
    """Fused optimizers divide by the scale within their step."""
    found, logged = [], []
    for fused in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        runner = runner_for(model, lr=0.1, fused=fused)
        hub = runner.message_hub = MessageHub.get_instance(
            f'fused-{fused}-{overflow}')
        hook = ClipEachGradientHook(max_norm=0.1)
        hook.before_train(runner)
        scaler = torch.amp.GradScaler('cpu', init_scale=2.**10)
        optimizer = runner.optim_wrapper.optimizer
        for step in range(3):
            optimizer.zero_grad()
            loss = model(torch.ones(3, 4)).square().sum()
            if overflow and step == 1:
                loss = loss * torch.inf
            scaler.scale(loss).backward()
            if not fused:
                # What the hook is to see.
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
        found.append(torch.cat([p.detach().flatten()
                                for p in model.parameters()]))
        logged.append(hub.get_scalar('train/largest_grad_norm').data[0])
    assert found[0].isfinite().all()
    torch.testing.assert_close(found[1], found[0], rtol=0., atol=1e-6)
    assert logged[1] == pytest.approx(logged[0], rel=1e-5)
    assert len(logged[0]) == (2 if overflow else 3)
