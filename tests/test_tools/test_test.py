# Copyright (c) OpenMMLab. All rights reserved.
"""``tools/test.py`` and ``tools/dist_test.sh`` on a tiny classifier."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from PIL import Image
from two_processes import run_two

from sbam_mm.engine.launch import (
    build_runner,
    close_group,
    load_config,
    prepare_launch,
)

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'

CONFIG = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(
            embed_dims=16, num_layers=1, num_heads=2,
            feedforward_channels=32),
        img_size=16,
        patch_size=8),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=16))
data_preprocessor = dict(mean=[127.] * 3, std=[50.] * 3, num_classes=2)
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        data_root='{{$DATA_ROOT:data/imagenet}}',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(16, 16)),
            dict(type='PackInputs'),
        ]))
test_cfg = dict()
test_evaluator = dict(type='Accuracy', topk=(1, ))
"""


@pytest.fixture
def project(tmp_path):
    """A config, a checkpoint with seeded weights, and two classes."""
    (tmp_path / 'tiny.py').write_text(CONFIG)
    rng = np.random.default_rng(0)
    # Odd, so that two processes cannot share the images evenly.
    for i in range(7):
        folder = tmp_path / 'images' / 'ab'[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{i}.png')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(tmp_path / 'tiny.py').model)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'model.pth')
    return tmp_path


def accuracy(project, work_dir, *command):
    result = subprocess.run(
        [*command, '--data-root', 'images', '--work-dir', work_dir],
        cwd=project,
        env=dict(
            os.environ,
            PYTHON=sys.executable,
            PYTHONPATH=str(ROOT),
            OMP_NUM_THREADS='1',
            CUDA_VISIBLE_DEVICES=''),
        capture_output=True,
        text=True,
        timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    metrics, = (project / work_dir).glob('*/*.json')
    return json.loads(metrics.read_text())['accuracy/top1']


@pytest.mark.dist
@pytest.mark.integration
def test_two_processes_measure_what_one_measures(project):
    one = accuracy(project, 'one', sys.executable, str(TOOLS / 'test.py'),
                   'tiny.py', 'model.pth')
    two = accuracy(project, 'two', 'bash', str(TOOLS / 'dist_test.sh'),
                   'tiny.py', 'model.pth', '2')
    # Every image counts once: a seventh is the smallest step.
    assert (one * 7 / 100) == pytest.approx(round(one * 7 / 100), abs=1e-3)
    assert one == two


def gloo_threads():
    tasks = Path('/proc/self/task').iterdir()
    return sum('gloo' in (task / 'comm').read_text() for task in tasks)


def end_of_a_test(rank, project):
    """The files of this process, and gloo's threads before and after."""
    # As torchrun sets them.
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    cfg = load_config(str(project / 'tiny.py'), str(project / 'images'))
    # The time of the first process names the folder in both, so their files
    # would be the same one in a common work_dir.
    cfg.work_dir = str(project / f'process_{rank}')
    cfg.load_from = str(project / 'model.pth')
    build_runner(cfg, prepare_launch(cfg, 'pytorch')).test()
    before = gloo_threads()
    close_group()
    files = [file.name for file in Path(cfg.work_dir).glob('*/*.json')]
    return files, before, gloo_threads()


@pytest.mark.dist
@pytest.mark.integration
@pytest.mark.skipif(
    not Path('/proc/self/task').exists(), reason='counts threads in /proc')
def test_one_process_writes_and_none_leaves_a_thread(project):
    """Or two texts are mixed in a file, or the end of Python may abort."""
    (files, before, after), (others, *_) = run_two(end_of_a_test, project,
                                                   project)
    assert len(files) == 1
    assert others == []
    assert before > 0
    assert after == 0


@pytest.mark.integration
def test_a_file_without_the_head_is_refused(project):
    """Top-1 would be that of a random head."""
    state = torch.load(project / 'model.pth')['state_dict']
    torch.save(dict(state_dict={key: value for key, value in state.items()
                                if not key.startswith('head.')}),
               project / 'encoder.pth')
    done = subprocess.run(
        [sys.executable, TOOLS / 'test.py', 'tiny.py', 'encoder.pth',
         '--data-root', 'images', '--work-dir', 'out'],
        cwd=project, capture_output=True, text=True)
    assert done.returncode == 2
    assert 'head.fc.weight' in done.stderr.splitlines()[-1]
