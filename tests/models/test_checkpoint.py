# Copyright (c) OpenMMLab. All rights reserved.
"""A checkpoint either fits or is refused, with the reason."""
import argparse
import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from sbam_mm.models.checkpoint import (
    check_keys,
    compare_keys,
    load_weights,
    state_dict_of,
    write_weights,
)
from sbam_mm.models.checkpoint_formats import from_ours
from sbam_mm.registry import HOOKS

pytestmark = pytest.mark.unit


def same(model, other):
    return all(
        torch.equal(value, other.state_dict()[key])
        for key, value in model.state_dict().items())


@pytest.mark.parametrize('wrap', [
    lambda state: state,
    lambda state: dict(state_dict=state, meta=dict(epoch=3)),
    lambda state: {f'module.{key}': value for key, value in state.items()},
])
def test_loads_every_form(tiny_mae, tmp_path, wrap):
    model, trained = tiny_mae(seed=0), tiny_mae(seed=1)
    assert not same(model, trained)
    torch.save(wrap(trained.state_dict()), tmp_path / 'x.pth')
    report = load_weights(model, tmp_path / 'x.pth')
    assert same(model, trained)
    assert report.share == 1 and not report.missing and not report.unexpected
    total = len(model.state_dict())
    assert str(report).startswith(f'{total} of {total} keys')


def test_mmengine_log_history_is_trusted(tiny_mae, tmp_path):
    """What a Runner saves beside the weights must not stand in the way."""
    model, trained = tiny_mae(), tiny_mae(seed=1)
    history = HistoryBuffer()
    history.update(0.5)
    torch.save(
        dict(
            state_dict=trained.state_dict(),
            message_hub=dict(log_scalars=dict(loss=history))),
        tmp_path / 'x.pth')
    load_weights(model, tmp_path / 'x.pth')
    assert same(model, trained)


def test_position_embedding_of_another_size_is_resized(tiny_mae):
    model = tiny_mae()
    state = model.state_dict()
    state['backbone.pos_embed'] = torch.randn(1, 1 + 8 * 8, 24)
    report = check_keys(model, state)
    assert 'backbone.pos_embed' in report.matched
    model.load_state_dict(state)
    # The decoder's is not resized while loading.
    state['neck.decoder_pos_embed'] = torch.randn(1, 65, 16)
    with pytest.raises(ValueError, match='neck.decoder_pos_embed'):
        check_keys(model, state)


def test_encoder_alone_needs_a_lower_share(tiny_mae):
    model = tiny_mae()
    total = len(model.state_dict())
    state = {
        key: value
        for key, value in model.state_dict().items()
        if key.startswith('backbone.')
    }
    share = len(state) / total
    assert check_keys(model, state, min_share=share).share == share
    with pytest.raises(ValueError) as error:
        check_keys(model, state, min_share=share + 0.01)
    assert f'{len(state)} of the {total} keys' in str(error.value)
    assert 'neck.mask_token' in str(error.value)


def test_no_key_matches_even_if_none_is_wanted(tiny_mae):
    with pytest.raises(ValueError, match='has 0 of the'):
        check_keys(tiny_mae(), dict(a=torch.zeros(1)), min_share=0.)


def test_message_has_both_lists_shortened(tiny_mae):
    model = tiny_mae()
    own = list(model.state_dict())
    state = {f'blocks.{i}': torch.zeros(1) for i in range(8)}
    with pytest.raises(ValueError) as error:
        check_keys(model, state, name='x.pth')
    message = str(error.value)
    for key in own[:5] + list(state)[:5]:
        assert key in message
    assert own[5] not in message and 'blocks.5' not in message
    assert f'and {len(own) - 5} more' in message and 'and 3 more' in message
    assert message.startswith('x.pth has 0 of') and '\n' not in message


def test_shapes_that_differ(tiny_mae):
    model = tiny_mae()
    state = dict(model.state_dict(), **{'neck.mask_token': torch.zeros(3)})
    assert len(compare_keys(model, state).misshapen) == 1
    with pytest.raises(ValueError, match=r'neck.mask_token \(\(3,\) in the '
                       r'file, \(1, 1, 16\) in the model'):
        check_keys(model, state)


def test_refused_weights_leave_the_model_alone(tiny_mae, tmp_path):
    model, before = tiny_mae(), tiny_mae()
    state = tiny_mae(seed=1).state_dict()
    state['neck.mask_token'] = torch.zeros(3)
    torch.save(state, tmp_path / 'x.pth')
    with pytest.raises(ValueError):
        load_weights(model, tmp_path / 'x.pth')
    assert same(model, before)


@pytest.mark.parametrize('content, words', [
    (None, 'does not exist'),
    (b'', 'cannot be read as a checkpoint'),
    (b'no checkpoint', 'cannot be read as a checkpoint'),
    (b'PK\x03\x04 half a file', 'cannot be read as a checkpoint'),
    ({}, 'holds no weights'),
    ([1], 'holds no weights but an object of type list'),
    (dict(net=dict(a=torch.zeros(1))), 'holds no weights but only the keys'),
    (dict(args=SimpleNamespace(a=1)), 'could run code'),
], ids=['missing', 'empty', 'text', 'half', '{}', 'list', 'nested', 'objects'])
def test_bad_files_get_a_sentence(tmp_path, content, words):
    path = tmp_path / 'x.pth'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=words) as error:
        load_weights(nn.Linear(1, 1), path)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value) and str(error.value).endswith('.')


class Attack:
    """Unpickled without care, this calls a method found by getattr."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def test_getattr_reaches_nothing_but_the_history(tmp_path):
    torch.save(dict(state_dict=dict(), x=Attack()), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='could run code'):
        load_weights(nn.Linear(1, 1), tmp_path / 'x.pth')


def fake_runner(model, resume=False):
    return SimpleNamespace(
        model=model,
        logger=logging.getLogger('test'),
        _resume=resume,
        _load_from='x.pth')


def test_hook_checks_what_the_runner_loads(tiny_mae):
    hook = HOOKS.build(dict(type='sbam_mm.CheckpointKeysHook'))
    model = tiny_mae()
    encoder = {
        key: value
        for key, value in model.state_dict().items()
        if key.startswith('backbone.')
    }
    hook.after_load_checkpoint(fake_runner(model), dict(state_dict=encoder))
    with pytest.raises(ValueError, match='x.pth has'):
        hook.after_load_checkpoint(
            fake_runner(model, resume=True), dict(state_dict=encoder))
    with pytest.raises(ValueError, match='x.pth has 0 of'):
        hook.after_load_checkpoint(
            fake_runner(model), dict(state_dict={'a': torch.zeros(1)}))


def test_a_run_is_resumed_with_images_of_its_size(tiny_mae):
    """Positions are stretched for a new run, never in the midst of one."""
    hook = HOOKS.build(dict(type='sbam_mm.CheckpointKeysHook'))
    trained, model = tiny_mae(img_size=(32, 48)), tiny_mae(img_size=(48, 32))
    hook.after_load_checkpoint(
        fake_runner(trained, resume=True),
        dict(state_dict=trained.state_dict()))
    with pytest.raises(ValueError, match='images of another size'):
        hook.after_load_checkpoint(
            fake_runner(model, resume=True),
            dict(state_dict=trained.state_dict()))
    checkpoint = dict(state_dict=trained.state_dict())
    hook.after_load_checkpoint(fake_runner(model), checkpoint)
    for key in ('backbone.pos_embed', 'neck.decoder_pos_embed'):
        assert not torch.equal(
            checkpoint['state_dict'][key], trained.state_dict()[key])


def test_hook_option():
    with pytest.raises(ValueError, match='share of the keys'):
        HOOKS.build(dict(type='sbam_mm.CheckpointKeysHook', min_share=0))


def test_state_dict_of_ignores_what_is_no_tensor():
    assert list(state_dict_of(dict(a=torch.zeros(1), epoch=3))) == ['a']


def runner_from(path, model, tmp_path):
    from mmengine.runner import Runner
    data = [dict(inputs=torch.zeros(3, 32, 32), data_samples=0)] * 2
    return Runner(
        model=model,
        work_dir=str(tmp_path),
        train_dataloader=dict(
            batch_size=2,
            dataset=data,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate')),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        custom_hooks=[dict(type='sbam_mm.CheckpointKeysHook')],
        load_from=str(path),
        default_scope='mmpretrain',
        experiment_name=tmp_path.name)


@pytest.mark.integration
def test_runner_stops(tiny_mae, tmp_path):
    """Through mmengine's Runner, which would go on without a word."""
    torch.save(dict(state_dict=dict(a=torch.zeros(1))), tmp_path / 'x.pth')
    runner = runner_from(tmp_path / 'x.pth', tiny_mae(), tmp_path)
    with pytest.raises(ValueError, match='x.pth has 0 of'):
        runner.train()


@pytest.mark.integration
def test_runner_refuses_code(tiny_mae, tmp_path):
    """Which mmengine would run."""
    torch.save(dict(state_dict=tiny_mae().state_dict(), x=SimpleNamespace()),
               tmp_path / 'x.pth')
    runner = runner_from(tmp_path / 'x.pth', tiny_mae(), tmp_path)
    with pytest.raises(ValueError, match='could run code'):
        runner.train()


@pytest.mark.integration
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_runner_starts_from_an_official_file(tmp_path, tiny_mae, suffix):
    """With the options that MAE's own script saves beside the weights."""
    trained = tiny_mae(seed=1)
    path = str(tmp_path / f'x{suffix}')
    weights = from_ours(trained.state_dict(), 'mae').state
    write_weights(path, weights if suffix == '.safetensors' else dict(
        model=weights, args=argparse.Namespace(lr=1.)))
    model = tiny_mae()
    runner_from(path, model, tmp_path).train()
    assert same(model, trained)
