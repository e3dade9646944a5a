# Copyright (c) OpenMMLab. All rights reserved.
"""Every tool reads folders as people have them: no traceback, no hanging."""
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.integration


def tool(name, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / 'tools' / f'{name}.py'),
         *map(str, arguments)],
        cwd=ROOT, capture_output=True, timeout=300, stdin=subprocess.DEVNULL,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1',
                 PYTHONIOENCODING='utf-8:strict'))


def spoil(folder):
    """Put beside the images of a folder what is none."""
    (folder / 'zero.jpg').write_bytes(b'')
    (folder / 'cut.png').write_bytes((folder / '0.png').read_bytes()[:200])
    bomb = bytearray((folder / '0.png').read_bytes())
    bomb[16:24] = (60000).to_bytes(4, 'big') * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, 'big')
    (folder / 'bomb.png').write_bytes(bomb)
    with open(os.fsencode(folder) + b'/bad\xe9.png', 'wb') as file:
        file.write(b'no image')
    os.mkfifo(folder / 'pipe.png')
    (folder / 'folder.png').mkdir()
    os.symlink('self.png', folder / 'self.png')
    os.symlink('..', folder / 'up')
    junk = folder / '.ipynb_checkpoints'
    junk.mkdir()
    (junk / 'x-checkpoint.png').write_bytes((folder / '0.png').read_bytes())


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    for half, count in (('train', 24), ('test', 24)):
        for low, name in ((0, b'a'), (150, b'caf\xe9')):
            folder = Path(os.fsdecode(
                os.fsencode(root) + b'/' + half.encode() + b'/' + name))
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(
                    rng.integers(low, low + 100, (40, 40, 3),
                                 dtype=np.uint8)).save(folder / f'{i}.png')
            spoil(folder)
        (root / half / '__MACOSX').mkdir()
        (root / half / '__MACOSX' / '._0.png').write_bytes(b'AppleDouble')
    return root


def done(run):
    """It ended well, and nothing that it printed is a traceback."""
    text = (run.stdout + run.stderr).decode()
    assert run.returncode == 0, text[-3000:]
    assert 'Traceback' not in text and 'Logging error' not in text
    return text


def test_training_and_evaluation(data, tmp_path):
    text = done(tool(
        'train', 'configs/small/mae_small.py', '--data-root', data,
        '--work-dir', tmp_path / 'run', '--cfg-options',
        'train_dataloader.batch_size=8', 'train_dataloader.num_workers=0'))
    found = [line for line in text.splitlines() if 'knn_top1:' in line]
    assert float(found[-1].split('knn_top1:')[1].split()[0]) > 90
    assert 'bad\\xe9.png' in text
    text = done(tool(
        'evaluate', tmp_path / 'run' / 'epoch_4.pth', '--config',
        'configs/small/mae_small.py', '--data', data, '--out',
        tmp_path / 'out', '--protocol', 'knn', '--workers', 0))
    results = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert '2 classes' in text
    assert 'knn' in json.dumps(results)


@pytest.mark.slow
def test_the_tools_that_look_at_images(data, tmp_path):
    folder = data / 'train' / 'a'
    assert '2 classes' in done(tool('prepare_data', '--data', data))
    text = done(tool('channel_statistics', folder))
    assert 'to_rgb=True' in text
    text = done(tool(
        'generate_segments', data / 'train', '--out', tmp_path / 's.npy'))
    assert 'unreadable ones have no masks' in text
    masks = tmp_path / 'masks'
    masks.mkdir()
    half = np.zeros((40, 40), np.uint8)
    half[:, :20] = 255
    for i in range(24):
        Image.fromarray(half).save(masks / f'{i}.png')
    small = ('--config', 'configs/small/sbam_small.py')
    text = done(tool(
        'mask_metrics', *small, '--images', folder, '--annotations', masks,
        '--seeds', 1, '--out', tmp_path / 'm.json'))
    assert 'skipped: the image' in text
    images = sorted(folder.glob('*.png'))
    text = done(tool(
        'visualize_masks', folder / '0.png', *images[-8:], *small, '--out',
        tmp_path / 'm.png'))
    assert text.count('skipped: the image') >= 5


@pytest.mark.slow
def test_images_without_classes_train_and_probes_say_what_they_need(
        data, tmp_path):
    loose = tmp_path / 'loose' / 'any' / 'where'
    loose.mkdir(parents=True)
    for i in range(16):
        (loose / f'{i}.png').write_bytes(
            (data / 'train' / 'a' / f'{i}.png').read_bytes())
    text = done(tool(
        'train', 'configs/small/mae_small.py', '--data-root',
        tmp_path / 'loose', '--work-dir', tmp_path / 'run', '--cfg-options',
        'train_dataloader.batch_size=4', 'train_dataloader.num_workers=0'))
    assert 'has no folder train: all images below it are taken' in text
    assert 'KNNHook stays off' in text
    run = tool('evaluate', tmp_path / 'run' / 'epoch_4.pth', '--config',
               'configs/small/mae_small.py', '--data', tmp_path / 'loose',
               '--out', tmp_path / 'out')
    assert run.returncode == 2
    assert b'is not a folder of class folders' in run.stderr
