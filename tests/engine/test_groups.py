# Copyright (c) OpenMMLab. All rights reserved.
"""Parameters of equal options share a group, whatever wrote the checkpoint."""
import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from small_runs import small, write_images
from torch import nn

from sbam_mm.engine.optim import groups
from sbam_mm.run_switches import exact

CONSTRUCTOR = 'sbam_mm.WeightDecayOptimWrapperConstructor'


class Net(nn.Module):

    def __init__(self, device=None):
        super().__init__()
        self.first = nn.Linear(3, 4, device=device)
        self.norm = nn.LayerNorm(4, device=device)
        self.last = nn.Linear(4, 2, device=device)

    def forward(self, x):
        return self.last(self.norm(self.first(x)))


def wrapper(model, optimizer=None, **custom_keys):
    return build_optim_wrapper(
        model,
        dict(
            optimizer=optimizer or dict(
                type='AdamW', lr=.1, weight_decay=.05),
            constructor=CONSTRUCTOR,
            paramwise_cfg=dict(custom_keys=custom_keys)))


@pytest.mark.unit
def test_order_and_options():
    model = Net()
    found = wrapper(model, last=dict(lr_mult=.5)).optimizer.param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert [[names[id(p)] for p in group['params']] for group in found] == [
        ['first.weight'], ['first.bias', 'norm.weight', 'norm.bias'],
        ['last.weight', 'last.bias']]
    assert [group['weight_decay'] for group in found] == [.05, 0., .05]
    assert [group['lr'] for group in found] == [.1, .1, .05]
    assert found[2]['lr_mult'] == .5


@pytest.mark.unit
def test_states_of_single_groups(monkeypatch):
    """With a rate of its own for every tensor's moments to differ."""
    weights, states = [], []
    for old in (True, False):
        torch.manual_seed(0)
        model = Net()
        with monkeypatch.context() as patch:
            if old:
                patch.setattr(groups, 'merged', lambda single, keys: single)
            optim = wrapper(model)
        if not old:
            optim.load_state_dict(states[0])
            model.load_state_dict(weights[0])
        assert len(optim.optimizer.param_groups) == (6 if old else 2)
        for _ in range(3 if old else 0):
            optim.update_params(model(torch.randn(5, 3)).square().sum())
        states.append(copy.deepcopy(optim.state_dict()))
        weights.append({k: v.clone() for k, v in model.state_dict().items()})
        torch.manual_seed(1)
        optim.update_params(model(torch.randn(5, 3)).square().sum())
        weights.append({k: v.clone() for k, v in model.state_dict().items()})
    for name, value in weights[1].items():
        assert torch.equal(weights[3][name], value), name


def train(images, work_dir, epochs=3, resume=False):
    cfg = small('ibot_small attmask-high')
    cfg.custom_hooks = [
        hook for hook in cfg.custom_hooks if hook.type != 'sbam_mm.KNNHook'
    ]
    cfg.merge_from_dict({
        'train_dataloader.dataset.data_root': str(images),
        'train_dataloader.dataset.cache': False,
        'train_dataloader.batch_size': 4,
        'train_dataloader.num_workers': 0,
        'train_cfg.max_epochs': epochs,
        'work_dir': str(work_dir),
        'resume': resume,
        'experiment_name': f'{work_dir.name}-{resume}',
        'log_level': 'WARNING',
    })
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.mark.integration
def test_an_old_run_resumes(tmp_path, monkeypatch):
    """Learning rate and weight decay follow their schedules, too."""
    images = write_images(tmp_path / 'data')
    through = train(images, tmp_path / 'through')
    rates = through.message_hub.get_scalar('train/lr').data[0].tolist()

    with monkeypatch.context() as patch:
        patch.setattr(groups, 'merged', lambda single, keys: single)
        train(images, tmp_path / 'old')
    for epoch in (2, 3):
        (tmp_path / f'old/epoch_{epoch}.pth').unlink()
    first = tmp_path / 'old/epoch_1.pth'
    (tmp_path / 'old/last_checkpoint').write_text(str(first))
    stored = torch.load(first, weights_only=False)
    count = len(stored['optimizer']['param_groups'])
    assert count > 20
    assert all(len(schedule['base_values']) == count + 1
               for schedule in stored['param_schedulers'])

    resumed = train(images, tmp_path / 'old', resume=True)
    assert resumed.message_hub.get_scalar('train/lr').data[0].tolist(
    ) == rates
    for one, other in zip(resumed.optim_wrapper.param_groups,
                          through.optim_wrapper.param_groups):
        for name in ('lr', 'weight_decay'):
            assert one[name] == other[name]
    expected = through.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.unit
def test_plain_on_the_cpu():
    found = wrapper(Net()).optimizer
    assert found.defaults['fused'] is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_fused_on_cuda():
    """Also when it goes on from a checkpoint of one that was not."""
    model = Net('cuda')
    optim = wrapper(model)
    assert all(g['fused'] for g in optim.optimizer.param_groups)
    plain = dict(type='AdamW', lr=.1, weight_decay=.05, foreach=True)
    assert wrapper(model, plain).optimizer.defaults['fused'] is None
    # LARS has none.
    lars = dict(type='mmpretrain.LARS', lr=.1, weight_decay=.05)
    assert 'fused' not in wrapper(model, lars).optimizer.defaults
    with exact():
        other = wrapper(model)
    assert other.optimizer.defaults['fused'] is None
    other.update_params(model(torch.randn(5, 3, device='cuda')).sum())
    optim.load_state_dict(other.state_dict())
    assert all(g['fused'] for g in optim.optimizer.param_groups)
    optim.update_params(model(torch.randn(5, 3, device='cuda')).sum())
    assert {int(state['step'])
            for state in optim.optimizer.state.values()} == {2}
