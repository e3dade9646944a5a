# Copyright (c) OpenMMLab. All rights reserved.
"""Detection: what is beside an image is zero, and no part of the image."""
from pathlib import Path

import dense_configs
import numpy as np
import pytest
import torch
from miniatures import HEIGHT, WIDTH, photograph
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from PIL import Image

CONFIGS = Path(__file__).parents[2] / 'configs'
pytestmark = pytest.mark.integration


@pytest.mark.parametrize('name', ['coco', 'lvis'])
@pytest.mark.parametrize('training', [True, False])
def test_padding(name, training, tmp_path):
    dense_configs.require('mmdet')
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIGS / f'mmdet/vitdet_vitb_100e_{name}.py')
    photograph(tmp_path / 'a.png', seed=0)
    pixels = np.asarray(Image.open(tmp_path / 'a.png'))
    # Boxes over the whole image survive every crop.
    whole = dict(
        bbox=[0, 0, WIDTH, HEIGHT], bbox_label=0, ignore_flag=0,
        mask=[[0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]])
    pipeline = cfg.train_pipeline if training else cfg.test_pipeline
    for step in pipeline:
        if step['type'] == 'RandomResize':
            step['ratio_range'] = (0.5, 0.5)
        if step['type'] == 'RandomFlip':
            step['prob'] = 0.
    packed = Compose(pipeline)(dict(
        img_path=str(tmp_path / 'a.png'), img_id=0, instances=[whole],
        height=HEIGHT, width=WIDTH))
    made = MODELS.build(cfg.model.data_preprocessor)(
        pseudo_collate([packed]), training)
    image, sample = made['inputs'][0], made['data_samples'][0]
    side = 512 if training else 1024
    height = round(side * HEIGHT / WIDTH)
    assert image.shape == (3, 1024, 1024)
    # Proposals and boxes are clipped to what was photographed.
    assert sample.img_shape[:2] == (height, side)
    assert sample.pad_shape == sample.batch_input_shape == (1024, 1024)
    assert (image[:, height:] == 0).all() and (image[..., side:] == 0).all()
    if training:
        masks = sample.gt_instances.masks.masks
        assert masks.shape[1:] == (1024, 1024)
        assert not masks[:, height:].any() and masks[:, 5:-600, 5:500].any()
    # Red first: noise has a mean of 127 in all channels.
    inside = image[:, :height, :side].mean((1, 2))
    mean = torch.tensor([123.675, 116.28, 103.53])
    std = torch.tensor([58.395, 57.12, 57.375])
    expected = (torch.tensor(pixels.mean((0, 1))).float() - mean) / std
    torch.testing.assert_close(inside, expected, atol=0.02, rtol=0)
