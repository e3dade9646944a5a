# Copyright (c) OpenMMLab. All rights reserved.
"""Trainings are killed at any moment, resumed, and end as if they had not.

    make test-slow ARGS=tests/test_crashes.py

SIGKILL, which nothing can catch: at random moments, in the middle of writing
a checkpoint, between writing and renaming, between renaming and deleting, and
in a run of two processes at one of them or at their launcher.
"""
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_runs import small_config, write_images

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
EPOCHS = 4
# Moments of a save, see DYING.
SAVING = ('half', 'renaming', 'deleting')

# A module that the config imports: dies at a moment of the n-th save.
DYING = '''
import os, signal
from mmengine.fileio import LocalBackend
from sbam_mm.engine.hooks import checkpoint_hook

moment, saves = os.environ.get('DIE_AT', ':0').split(':')
left = int(saves)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def put(self, obj, path):
    global left
    left -= 1
    with open(path, 'wb') as file:
        if moment == 'half' and left == 0:
            file.write(obj[:len(obj) // 2])
            file.flush()
            die()
        file.write(obj)

def put_in_place(finished, path, rename=checkpoint_hook.put_in_place):
    if moment == 'renaming' and left == 0:
        die()
    rename(finished, path)

def delete(self, delete=checkpoint_hook.DeleteLater.delete):
    if moment == 'deleting' and left == 0:
        die()
    delete(self)

LocalBackend.put = put
checkpoint_hook.put_in_place = put_in_place
checkpoint_hook.DeleteLater.delete = delete
'''


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    return write_images(folder / 'data', (('train', 16), ))


def start(config, work_dir, processes=1, die_at=''):
    """A training in processes of its own, resumed if it can be."""
    command = [sys.executable, ROOT / 'tools/train.py', config]
    if processes > 1:
        command = ['bash', ROOT / 'tools/dist_train.sh', config, processes]
    paths = [str(ROOT), str(config.parent), os.environ.get('PYTHONPATH', '')]
    env = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1',
               PYTHONPATH=os.pathsep.join(filter(None, paths)))
    if die_at:
        env['DIE_AT'] = die_at
    log = open(work_dir.with_suffix('.log'), 'ab')
    return subprocess.Popen(
        [*map(str, command), '--work-dir', str(work_dir), '--resume'],
        stdout=log, stderr=subprocess.STDOUT, env=env,
        start_new_session=True)


def ranks_of(pid):
    """The trainings that a launcher has started."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
            command = stat.with_name('cmdline').read_text()
        except OSError:
            continue
        if int(fields[1]) == pid and 'train.py' in command:
            found.append(int(stat.parent.name))
    return found


def gone(pid):
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
    except OSError:
        return True
    return state.split()[0] == 'Z'


def wait_until(holds, *args, seconds=60):
    end = time.monotonic() + seconds
    while not holds(*args):
        assert time.monotonic() < end
        time.sleep(.05)


def steps(log):
    return log.read_text().count('Epoch(train)') if log.exists() else 0


def finish(config, work_dir, processes=1, epochs=EPOCHS):
    training = start(config, work_dir, processes)
    assert training.wait(600) == 0, work_dir.with_suffix('.log').read_text()
    return weights(work_dir, epochs)


def weights(work_dir, epochs=EPOCHS):
    checkpoint = torch.load(
        work_dir / f'epoch_{epochs}.pth', weights_only=False)
    moments = checkpoint['optimizer']['state']
    return dict(
        checkpoint['state_dict'], **{
            f'{number}.{key}': value for number, state in moments.items()
            for key, value in state.items()})


def equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


def prepare(folder, images, base, epochs=EPOCHS):
    (folder / 'dying.py').write_text(DYING)
    config = small_config(
        folder / 'config.py', images, base,
        train_cfg__max_epochs=epochs,
        train_dataloader__batch_size=4,
        train_dataloader__num_workers=2,
        # The hardest case: there is never more than one checkpoint.
        default_hooks__checkpoint__max_keep_ckpts=1,
        custom_imports=dict(imports=['dying']))
    return config


@pytest.mark.parametrize('base, moments', [
    ('sbam_small', 6), ('ibot_small', 5), ('mae_small amt', 5)])
def test_killed_and_resumed_equals_uninterrupted(
        base, moments, images, tmp_path):
    config = prepare(tmp_path, images, base)
    begin = time.monotonic()
    through = finish(config, tmp_path / 'through')
    whole = time.monotonic() - begin

    killed = tmp_path / 'killed'
    generator = random.Random(base)
    kills = 0
    for moment in SAVING:
        training = start(config, killed, die_at=f'{moment}:1')
        assert training.wait(600) == -signal.SIGKILL
        kills += 1
    for _ in range(moments):
        training = start(config, killed)
        try:
            code = training.wait(generator.uniform(.1, .8) * whole)
            assert code == 0
        except subprocess.TimeoutExpired:
            os.killpg(training.pid, signal.SIGKILL)
            training.wait()
            kills += 1
    equal(finish(config, killed), through)
    print(f"{base}: {kills} SIGKILLs, bit-equal")
    assert kills >= 6  # with those of two processes over 20
    # One checkpoint, and nothing half-written.
    assert [path.name for path in killed.glob('*epoch_*')] == [
        f'epoch_{EPOCHS}.pth']


def test_two_processes_killed_and_resumed(images, tmp_path):
    # Long enough to be killed three times: ranks train on for a moment.
    epochs = 60
    config = prepare(tmp_path, images, 'sbam_small', epochs)
    through = finish(config, tmp_path / 'through', 2, epochs)

    killed = tmp_path / 'killed'
    log = killed.with_suffix('.log')
    for number, victim in enumerate(('launcher', 'rank', 'launcher')):
        before = steps(log)
        training = start(config, killed, 2)
        wait_until(lambda before: steps(log) > before, before, seconds=300)
        ranks = ranks_of(training.pid)
        assert len(ranks) == 2
        os.kill(training.pid if victim == 'launcher' else ranks[number % 2],
                signal.SIGKILL)
        training.wait(120)
        # Nobody trains on.
        wait_until(lambda ranks: all(map(gone, ranks)), ranks)
    equal(finish(config, killed, 2, epochs), through)
