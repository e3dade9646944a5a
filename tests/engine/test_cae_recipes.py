# Copyright (c) OpenMMLab. All rights reserved.
"""CAE's recipes with their own pipelines: two pictures of every image."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.models import DALLEEncoder
from small_runs import write_images
from tiny_configs import frozen_teacher

ROOT = Path(__file__).parents[2]
PIXELS = """
model = dict(
    head=dict(_delete_=True, type='sbam_mm.PixelHead'),
    neck=dict(out_dims=768))
"""

pytestmark = pytest.mark.integration


@pytest.fixture
def data(tmp_path, monkeypatch):
    images = write_images(tmp_path / 'images', parts=[('train', 2)])
    monkeypatch.setenv('DATA_ROOT', str(images))
    return images


def shrink(cfg, folder):
    """The model small, images, patches and pipeline as they are."""
    model = cfg.model
    model.backbone.arch = dict(
        embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=48)
    model.neck.update(
        embed_dims=24, num_heads=3, regressor_depth=1, decoder_depth=1)
    if model.head.type == 'sbam_mm.DalleHead':
        model.neck.out_dims = 32
        model.head.tokenizer = dict(
            n_hid=8, n_blk_per_group=1, vocab_size=32)
        model.head.checkpoint = str(folder / 'dalle_encoder.pth')
        torch.save(DALLEEncoder(**model.head.tokenizer).state_dict(),
                   model.head.checkpoint)
    if model.get('teacher'):
        frozen_teacher(model, folder, img_size=224, patch_size=16)
        model.masker.update(block=1, head=2)


@pytest.mark.parametrize('pixels', [True, False], ids=['pixels', 'DALL-E'])
@pytest.mark.parametrize('name', sorted(
    path.stem for path in (ROOT / 'configs/cae').glob('*.py')))
def test_trains_with_either_target(name, pixels, data, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(f"_base_ = '{ROOT}/configs/cae/{name}.py'\n" +
                    (PIXELS if pixels else ''))
    cfg = Config.fromfile(path)
    shrink(cfg, tmp_path)
    cfg.optim_wrapper = dict(optimizer=cfg.optim_wrapper.optimizer)
    cfg.merge_from_dict({
        'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'train_cfg.max_epochs': 1,
        'work_dir': str(tmp_path / 'work'),
        'param_scheduler': [],
        'custom_hooks': [],
        'log_level': 'WARNING',
        'experiment_name': f'{tmp_path.name}',
    })
    runner = Runner.from_cfg(cfg)
    before = runner.model.neck.head.weight.detach().clone()
    runner.train()
    assert runner.iter == 2
    after = runner.model.neck.head.weight
    assert after.isfinite().all() and not torch.equal(before, after)
