# Copyright (c) OpenMMLab. All rights reserved.
"""At every moment of a training there is a whole checkpoint."""
import errno
import os

import pytest
import torch
from mmengine.fileio import LocalBackend
from small_runs import small_config, train, write_images

from sbam_mm.engine.hooks import checkpoint_hook
from sbam_mm.engine.last_checkpoint import last_checkpoint

pytestmark = pytest.mark.integration


@pytest.fixture
def config(tmp_path):
    return small_config(
        tmp_path / 'config.py', write_images(tmp_path / 'images'),
        train_cfg__max_epochs=3, default_hooks__checkpoint__max_keep_ckpts=1)


def seen_at(moment, monkeypatch, folder):
    """Names of the checkpoints at a moment of every save."""
    seen = []

    def look(*args):
        seen.append(sorted(path.name for path in folder.glob('*epoch*')))
        return moment[1](*args)

    monkeypatch.setattr(*moment[0], look)
    return seen


def test_the_old_one_goes_after_the_new_one_has_come(
        config, tmp_path, monkeypatch):
    place = tmp_path / 'work'
    before = seen_at(((checkpoint_hook, 'put_in_place'),
                      checkpoint_hook.put_in_place), monkeypatch, place)
    after = seen_at(((checkpoint_hook.DeleteLater, 'delete'),
                     checkpoint_hook.DeleteLater.delete), monkeypatch, place)
    assert train(config, place).code == 0
    unfinished = [f'.epoch_{epoch}.pth.unfinished' for epoch in (1, 2, 3)]
    assert before == [
        [unfinished[0]], [unfinished[1], 'epoch_1.pth'],
        [unfinished[2], 'epoch_2.pth']]
    assert after == [
        ['epoch_1.pth'], ['epoch_1.pth', 'epoch_2.pth'],
        ['epoch_2.pth', 'epoch_3.pth']]
    assert [path.name for path in place.glob('*epoch*')] == ['epoch_3.pth']
    assert torch.load(
        place / 'epoch_3.pth', weights_only=False)['meta']['epoch'] == 3


def test_a_full_disk_loses_nothing_and_is_named(
        config, tmp_path, monkeypatch):
    put, saves = LocalBackend.put, []

    def full(self, content, path):
        saves.append(path)
        if len(saves) == 2:
            put(self, content[:len(content) // 2], path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        put(self, content, path)

    place = tmp_path / 'work'
    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, 'put', full)
        ended = train(config, place)
    assert ended.code == 2
    assert 'there is no space left' in ended.err
    assert [path.name for path in place.glob('*epoch*')] == ['epoch_1.pth']

    assert train(config, place, '--resume').code == 0
    assert last_checkpoint(place).path == str(place / 'epoch_3.pth')


def test_what_a_dead_process_left_is_removed(config, tmp_path):
    place = tmp_path / 'work'
    place.mkdir()
    (place / '.epoch_7.pth.unfinished').write_text('half')
    assert train(config, place).code == 0
    assert not list(place.glob('.*unfinished'))


def test_the_best_one_too(config, tmp_path):
    """mmengine deletes the best checkpoint so far before it writes."""
    runs = []

    class Runner:
        work_dir = str(tmp_path)

        def save_checkpoint(self, out_dir, filename, **kwargs):
            runs.append(sorted(os.listdir(tmp_path)))
            (tmp_path / filename).write_text('whole')

    hook = checkpoint_hook.CheckpointHook(save_best='top1', rule='greater')
    hook.file_backend, hook.out_dir = LocalBackend(), str(tmp_path)
    (tmp_path / 'best_1.pth').write_text('old')
    runner = Runner()
    with hook._nothing_is_lost(runner):
        hook.file_backend.remove(tmp_path / 'best_1.pth')
        runner.save_checkpoint(str(tmp_path), 'best_2.pth')
    assert 'best_1.pth' in runs[0]
    assert sorted(path.name for path in tmp_path.glob('best*')) == [
        'best_2.pth']


def names(folder):
    return sorted(path.name for path in folder.glob('*epoch*'))


@pytest.mark.parametrize('milestones, kept', [
    (3, ['epoch_2.pth', 'epoch_4.pth', 'epoch_6.pth']),
    ([.5], ['epoch_3.pth', 'epoch_6.pth']),
    ([1, 4], ['epoch_1.pth', 'epoch_4.pth', 'epoch_6.pth']),
    (None, ['epoch_6.pth']),
])
def test_milestones_stay_also_when_the_run_is_resumed(
        milestones, kept, tmp_path):
    place = tmp_path / 'work'
    config = small_config(
        tmp_path / 'config.py', write_images(tmp_path / 'images'),
        train_cfg__max_epochs=6, default_hooks__checkpoint__max_keep_ckpts=1,
        default_hooks__checkpoint__milestones=milestones)
    assert train(config, place).code == 0
    assert names(place) == kept
    # Again from the last one of the first half: the queue is its own.
    for path in place.glob('*.pth'):
        if int(path.stem.partition('_')[2]) > 3:
            path.unlink()
    assert train(config, place, '--resume').code == 0
    assert names(place) == kept


def test_a_milestone_in_the_queue_of_several_is_no_substitute(tmp_path):
    """The last max_keep_ckpts stay, and milestones beside them."""
    path = small_config(
        tmp_path / 'config.py', write_images(tmp_path / 'images'),
        train_cfg__max_epochs=6, default_hooks__checkpoint__max_keep_ckpts=2,
        default_hooks__checkpoint__milestones=[1, 3])
    assert train(path, tmp_path / 'work').code == 0
    assert names(tmp_path / 'work') == [
        f'epoch_{epoch}.pth' for epoch in (1, 3, 5, 6)]


def test_milestones_are_written_whatever_the_interval(tmp_path):
    path = small_config(
        tmp_path / 'config.py', write_images(tmp_path / 'images'),
        train_cfg__max_epochs=4, default_hooks__checkpoint__interval=3,
        default_hooks__checkpoint__max_keep_ckpts=1,
        default_hooks__checkpoint__milestones=2)
    assert train(path, tmp_path / 'work').code == 0
    assert names(tmp_path / 'work') == ['epoch_2.pth', 'epoch_4.pth']
    path = small_config(
        tmp_path / 'iterations.py', tmp_path / 'images',
        train_cfg__max_epochs=4, default_hooks__checkpoint__by_epoch=False,
        default_hooks__checkpoint__interval=5,
        default_hooks__checkpoint__max_keep_ckpts=1,
        default_hooks__checkpoint__milestones=[.25, 6])
    assert train(path, tmp_path / 'steps').code == 0
    assert sorted(p.name for p in (tmp_path / 'steps').glob('*.pth')) == [
        'iter_16.pth', 'iter_4.pth', 'iter_6.pth']


def test_fewer_kept_than_before_spares_the_milestones(config, tmp_path):
    place = tmp_path / 'work'
    for keep in (4, 1):
        path = small_config(
            tmp_path / 'config.py', tmp_path / 'images',
            train_cfg__max_epochs=5,
            default_hooks__checkpoint__max_keep_ckpts=keep,
            default_hooks__checkpoint__milestones=[2])
        assert train(path, place, '--resume').code == 0
        if keep == 4:
            assert names(place) == [f'epoch_{n}.pth' for n in (2, 3, 4, 5)]
            (place / 'epoch_5.pth').unlink()
    assert names(place) == ['epoch_2.pth', 'epoch_5.pth']


@pytest.mark.parametrize('milestones', [0, [0], [0.], [1.5], [-1]])
def test_what_is_no_milestone_is_refused(milestones):
    with pytest.raises(ValueError, match='milestones'):
        checkpoint_hook.CheckpointHook(milestones=milestones)
