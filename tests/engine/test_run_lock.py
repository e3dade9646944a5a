# Copyright (c) OpenMMLab. All rights reserved.
"""A run has one process, whatever happens to the others."""
import errno
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from sbam_mm.engine import run_lock
from sbam_mm.engine.run_lock import RunIsTaken, RunLock

pytestmark = pytest.mark.unit


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'run' / 'run.lock'


def die_holding(path, child=()):
    """A process that ends within the lock; returns its pid."""
    pid = os.fork()
    if pid == 0:
        lock = RunLock(path).__enter__()
        if child:
            started = subprocess.Popen(child, pass_fds=(lock.fileno(), ))
            path.with_name('pid').write_text(str(started.pid))
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_one_at_a_time(path):
    with RunLock(path) as lock:
        assert lock.note == ''
        assert json.loads(path.read_text())['pid'] == os.getpid()
        with pytest.raises(RunIsTaken, match=f'process {os.getpid()} on .* '
                           'is working on it'):
            RunLock(path).__enter__()
        # The one that was refused has changed nothing.
        assert json.loads(path.read_text())['pid'] == os.getpid()
    with RunLock(path) as lock:
        assert lock.note == ''


def test_given_back_after_an_error(path):
    with pytest.raises(KeyError), RunLock(path):
        raise KeyError
    with RunLock(path) as lock:
        assert lock.note == ''


def test_a_stale_lock_is_taken_over(path):
    pid = die_holding(path)
    with RunLock(path) as lock:
        assert lock.note.startswith(f'process {pid} on ')
        assert 'ended without finishing; its lock is taken over.' in lock.note


def test_half_a_line_is_a_free_lock(path):
    path.parent.mkdir()
    path.write_text('{"pid": 1')
    with RunLock(path) as lock:
        assert json.loads(path.read_text())['pid'] == os.getpid()
        assert lock.note == ''


def test_a_child_keeps_the_lock_of_a_dead_parent(path):
    parent = die_holding(path, child=['sleep', '60'])
    child = int(path.with_name('pid').read_text())
    try:
        with pytest.raises(RunIsTaken, match=f'process {parent} on '):
            RunLock(path).__enter__()
    finally:
        os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:  # an orphan is not ours to wait for
        try:
            with RunLock(path) as lock:
                assert 'taken over' in lock.note
            break
        except RunIsTaken:
            assert time.monotonic() < deadline
            time.sleep(.01)


@pytest.mark.parametrize('alive', [True, False])
def test_another_machine_has_it_while_it_gives_signs_of_life(
        path, alive, monkeypatch):
    # The first sign ends the watch, however late a busy machine gives it.
    monkeypatch.setattr(run_lock, 'PATIENCE', 5. if alive else .5)
    path.parent.mkdir()
    path.write_text(json.dumps(dict(pid=7, host='elsewhere', since='noon')))
    os.utime(path, (1, 1))
    if alive:
        threading.Timer(.2, os.utime, [path]).start()
        with pytest.raises(RunIsTaken, match='process 7 on elsewhere .since '
                           'noon. is working on it'):
            RunLock(path).__enter__()
    else:
        with RunLock(path) as lock:
            assert 'ended without finishing' in lock.note
            assert json.loads(path.read_text())['pid'] == os.getpid()


def test_the_holder_gives_signs_of_life(path, monkeypatch):
    monkeypatch.setattr(run_lock, 'BEAT', .05)
    with RunLock(path):
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 60
        while path.stat().st_mtime == 1:
            assert time.monotonic() < deadline
            time.sleep(.02)
    os.utime(path, (1, 1))
    time.sleep(.2)
    assert path.stat().st_mtime == 1


def test_a_forked_child_does_not_keep_the_lock(path):
    """A loader process outlives a killed run by some seconds."""
    pid = os.fork()
    if pid == 0:
        RunLock(path).__enter__()
        loader = os.fork()
        if loader == 0:
            time.sleep(60)
            os._exit(0)
        path.with_name('pid').write_text(str(loader))
        time.sleep(.2)  # the loader has begun
        os._exit(0)
    os.waitpid(pid, 0)
    try:
        with RunLock(path) as lock:
            assert lock.note.startswith(f'process {pid} on ')
    finally:
        os.kill(int(path.with_name('pid').read_text()), signal.SIGKILL)


@pytest.mark.parametrize('alive', [True, False])
def test_a_file_system_without_locks(path, alive, monkeypatch):
    """Signs of life decide, also between processes of one machine."""

    def none(*args):
        raise OSError(errno.ENOSYS, 'Function not implemented')

    monkeypatch.setattr(run_lock.fcntl, 'flock', none)
    monkeypatch.setattr(run_lock, 'PATIENCE', .5)
    monkeypatch.setattr(run_lock, 'BEAT', .1 if alive else 60.)
    with RunLock(path):
        if alive:
            with pytest.raises(RunIsTaken, match='is working on it'):
                RunLock(path).__enter__()
        else:
            with RunLock(path) as lock:
                assert 'taken over' in lock.note
    with RunLock(path) as lock:
        assert lock.note == ''
