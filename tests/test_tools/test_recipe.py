# Copyright (c) OpenMMLab. All rights reserved.
"""The 8-GPU recipe starts as the README says, here with two CPU processes."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parents[2]
OVERRIDES = {
    'model.backbone.arch': 'tiny',
    'model.backbone.img_size': 32,
    'model.backbone.patch_size': 8,
    'model.neck.img_size': 32,
    'model.neck.patch_size': 8,
    'model.neck.embed_dim': 192,
    'model.neck.decoder_embed_dim': 32,
    'model.neck.decoder_depth': 1,
    'model.neck.decoder_num_heads': 2,
    'model.head.patch_size': 8,
    'train_dataloader.batch_size': 2,
    'train_dataloader.num_workers': 1,
    'train_dataloader.dataset.pipeline.0.scale': 32,
    'train_cfg.max_epochs': 1,
    'default_hooks.logger.interval': 1,
}


@pytest.mark.dist
def test_one_iteration_of_the_vitl_recipe(tmp_path):
    generator = np.random.default_rng(0)
    folder = tmp_path / 'imagenet/train/cat'
    folder.mkdir(parents=True)
    for i in range(4):
        pixels = generator.integers(0, 256, (50, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{i}.JPEG')
    env = dict(
        os.environ,
        PYTHONPATH=str(ROOT),
        OMP_NUM_THREADS='1',
        CUDA_VISIBLE_DEVICES='',
        DATA_ROOT=str(tmp_path / 'imagenet'),
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    run = subprocess.run(
        [
            'bash', ROOT / 'tools/dist_train.sh',
            'configs/sbam_mae_vitl_800e.py', '2', '--work-dir',
            tmp_path / 'work', '--cfg-options',
            *(f'{key}={value}' for key, value in OVERRIDES.items())
        ],
        cwd=ROOT,
        env=env,
        text=True,
        capture_output=True,
        timeout=300)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    log, = (tmp_path / 'work').glob('*/vis_data/scalars.json')
    step = json.loads(log.read_text().splitlines()[0])
    assert np.isfinite(step['loss'])
    # 0.75 +- 0.15 of 16 tokens, the visible ones rounded up.
    assert 9 / 16 <= step['mask_ratio_min'] <= step['mask_ratio_max']
    assert step['mask_ratio_max'] <= 14 / 16
    assert 1 <= step['visible_tokens'] <= 7 and 'salient_fraction' in step
    saved = torch.load(
        tmp_path / 'work/epoch_1.pth', weights_only=False)['state_dict']
    assert all(torch.isfinite(value).all() for value in saved.values())
