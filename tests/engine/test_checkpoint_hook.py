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
