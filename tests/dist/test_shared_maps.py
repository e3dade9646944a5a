# Copyright (c) OpenMMLab. All rights reserved.
"""Two processes store the attention maps that one stores."""
import os

import numpy as np
import pytest
import torch
from two_processes import run_two
from mmengine.runner import Runner
from PIL import Image
from small_runs import small

from sbam_mm.datasets import MapVersions

IMAGES = 15


def train(folder, work_dir, **options):
    """One epoch that changes no weight, then the maps."""
    cfg = small('mae_small amt')
    cfg.custom_hooks = cfg.custom_hooks[:2]
    # Alone, an image meets the same arithmetic in both runs.
    cfg.custom_hooks[0].batch_size = 1
    cfg.merge_from_dict({
        'train_dataloader.dataset.data_root': str(folder / 'data'),
        'train_dataloader.dataset.cache': False,
        'train_dataloader.num_workers': 0,
        'train_dataloader.batch_size': 4,
        'optim_wrapper.optimizer.lr': 0.,
        'param_scheduler': None,
        'train_cfg.max_epochs': 2,
        'work_dir': str(work_dir),
        'experiment_name': work_dir.name,
        'log_level': 'ERROR',
        **options,
    })
    Runner.from_cfg(cfg).train()


def half(rank, folder):
    os.environ['LOCAL_RANK'] = str(rank)
    train(
        folder, folder / 'two', launcher='pytorch',
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel', device_ids=None))


@pytest.mark.dist
def test_two_processes_write_the_file_of_one(tmp_path):
    classes = tmp_path / 'data/train/cat'
    classes.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for i in range(IMAGES):
        pixels = generator.integers(0, 256, (40, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(classes / f'{i:02d}.png')
    # The second process meets a file that it cannot read.
    (classes / '12.png').write_bytes(b'no image')

    train(tmp_path, tmp_path / 'one')
    run_two(half, tmp_path, tmp_path)

    one, two = (MapVersions(tmp_path / name / 'attention_maps')
                for name in ('one', 'two'))
    assert one.epochs() == two.epochs() == [1]
    assert one.path(1).read_bytes() == two.path(1).read_bytes()
    maps = np.load(one.path(1))
    assert (maps[12] == 1).all() and (maps.std(axis=(1, 2)) > 0).sum() == 14
