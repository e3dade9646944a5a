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
