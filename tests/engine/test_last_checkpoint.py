# Copyright (c) OpenMMLab. All rights reserved.
"""The newest whole checkpoint is found, whatever a folder looks like."""
import os
import shutil

import pytest
import torch
from hostile_files import checkpoint_writers, whole_checkpoint

from sbam_mm.engine.last_checkpoint import last_checkpoint
from sbam_mm.safe_loading import HoldsObjects

pytestmark = pytest.mark.unit


@pytest.fixture
def save(tmp_path):
    """Writes a checkpoint of an epoch, made at that hour."""

    def write(epoch, hour=None, name=None):
        checkpoint = whole_checkpoint()
        checkpoint['meta'].update(
            epoch=epoch, iter=4 * epoch,
            time=f'20260101_{epoch if hour is None else hour:02}0000')
        path = tmp_path / (name or f'epoch_{epoch}.pth')
        torch.save(checkpoint, path)
        return path

    return write


def halve(path):
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])


def test_an_empty_or_missing_folder_has_none(tmp_path):
    assert last_checkpoint(tmp_path).path is None
    assert last_checkpoint(tmp_path / 'no').path is None


@pytest.mark.parametrize('pointer', ['', 'epoch_1.pth', 'gone.pth'])
def test_the_pointer_does_not_matter(save, tmp_path, pointer):
    paths = [save(epoch) for epoch in (1, 2, 10)]
    (tmp_path / 'last_checkpoint').write_text(pointer)
    assert last_checkpoint(tmp_path).path == str(paths[-1])


def test_of_an_older_run_in_the_folder_none_is_taken(save, tmp_path):
    save(9, hour=1)
    path = save(2, hour=5)
    assert last_checkpoint(tmp_path).path == str(path)


def test_a_copied_folder_has_the_same_one(save, tmp_path):
    for epoch in (8, 9, 10):
        save(epoch)
    shutil.copytree(tmp_path, tmp_path / 'copy')
    # As copying without times does, in any order.
    for number, name in enumerate(('epoch_10.pth', 'epoch_9.pth')):
        os.utime(tmp_path / 'copy' / name, (number, number))
    found = last_checkpoint(tmp_path / 'copy')
    assert found.path.endswith('copy/epoch_10.pth') and not found.note


@pytest.mark.parametrize('break_it', [
    halve,
    lambda path: path.write_bytes(b''),
    lambda path: path.write_text('no checkpoint'),
    # In the middle: torch would read it, and other numbers.
    lambda path: path.write_bytes(
        b''.join((path.read_bytes()[:300], b'x', path.read_bytes()[301:]))),
])
def test_a_damaged_file_is_passed_over_and_named(save, tmp_path, break_it):
    good = save(2)
    break_it(save(3))
    found = last_checkpoint(tmp_path)
    assert found.path == str(good)
    assert 'epoch_3.pth is damaged' in found.note


def test_if_all_are_damaged_nothing_begins_anew(save, tmp_path):
    halve(save(1))
    halve(save(2))
    with pytest.raises(ValueError, match='none of the checkpoints in .*'
                       'epoch_1.pth, epoch_2.pth'):
        last_checkpoint(tmp_path)


def test_other_files_are_no_checkpoints(save, tmp_path):
    good = save(1)
    save(5, name='best_top1_epoch_5.pth')
    save(6, name='.epoch_6.pth.unfinished')
    torch.save({'a.weight': torch.ones(2)}, tmp_path / 'encoder.pth')
    found = last_checkpoint(tmp_path)
    assert found.path == str(good) and not found.note


def test_code_is_refused_and_not_passed_over(save, tmp_path):
    save(1)
    mark = tmp_path / 'mark'
    checkpoint_writers(mark)['in_exec'](tmp_path / 'epoch_2.pth')
    with pytest.raises(HoldsObjects, match='epoch_2.pth holds'):
        last_checkpoint(tmp_path)
    assert not mark.exists()
