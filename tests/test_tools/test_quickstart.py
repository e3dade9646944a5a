# Copyright (c) OpenMMLab. All rights reserved.
"""`make quickstart` on a handful of images, started as a newcomer would."""
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reading_pages import Page

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.integration


def quickstart(folder, *args):
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='2')
    env.pop('DATA_ROOT', None)
    return subprocess.run(
        [
            sys.executable, '-W', 'ignore', ROOT / 'tools/quickstart.py',
            '--work-dir', 'work', *args
        ],
        cwd=folder,
        env=env,
        text=True,
        capture_output=True,
        timeout=500)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A folder with two kinds of images and a finished quickstart."""
    folder = tmp_path_factory.mktemp('quickstart')
    generator = np.random.default_rng(0)
    for part, count in (('train', 64), ('test', 12)):
        for i, name in enumerate(('dark', 'light')):
            target = folder / 'images' / part / name
            target.mkdir(parents=True)
            for j in range(count):
                pixels = generator.integers(
                    120 * i, 120 * i + 130, (40, 36, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(target / f'{j}.png')
    return folder, quickstart(folder, '--data', 'images', '--epochs', '1')


def test_trains_judges_and_reports(finished):
    folder, run = finished
    assert run.returncode == 0, run.stdout + run.stderr
    results, = folder.glob('work/*/results.json')
    results = json.loads(results.read_text())
    assert set(results) == {
        'pixels', 'normalised', 'untrained', 'random', 'sbam'
    }
    # Dark from light is told apart by any feature that sees brightness.
    assert results['normalised']['knn'] == 100
    assert results['random']['visible_tokens'] == 16
    assert 7 <= results['sbam']['visible_tokens'] <= 26
    assert results['sbam']['images_per_second'] > 0
    report = (folder / 'work/report.html').read_text()
    page = Page(folder / 'work/report.html')
    count = Counter(picture.alt.rpartition(': ')[2]
                    for picture in page.pictures)
    # Six test images by each run, untrained and trained, and the masks of
    # four photographs.
    assert count['Image'] == 2 * 6 + 4
    assert count['Reconstruction'] == 2 * 6 * 2
    assert count['Random masking'] == count['SBAM, per-image ratio'] == 4
    for name in ('random', 'sbam'):
        assert f"{results[name]['knn']:.1f}" in sum(page.rows, [])
    for text in ('Random masking', 'SBAM', 'no evidence', 'torch'):
        assert text in report
    for text in ('kNN top-1', 'linear top-1', 'visible tokens', 'images/s',
                 'Report: work/report.html'):
        assert text in ' '.join(run.stdout.split())


def test_a_second_call_reuses_the_runs(finished):
    folder, _ = finished
    checkpoints = sorted(folder.glob('work/*/*/epoch_1.pth'))
    before = [path.stat().st_mtime_ns for path in checkpoints]
    run = quickstart(folder, '--data', 'images', '--epochs', '1')
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count('already trained') == 2
    assert [path.stat().st_mtime_ns for path in checkpoints] == before
    assert len(before) == 2


def test_a_wrong_folder_gets_a_sentence(tmp_path):
    run = quickstart(tmp_path, '--data', 'nowhere')
    assert run.returncode == 2
    assert 'nowhere' in run.stderr and 'Traceback' not in run.stderr
    assert not (tmp_path / 'work').exists()
