# Copyright (c) OpenMMLab. All rights reserved.
"""From pre-training to mIoU and AP: a few images are learned by heart.

Real photographs where the environment variable COCO120 names an archive of
some in COCO's format, else composed scenes.
"""
import json
from pathlib import Path

import dense_configs
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

from sbam_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.integration]
ARCH = dict(
    embed_dims=64, num_layers=4, num_heads=4, feedforward_channels=256)
SIDE, PATCH, IMAGES, STEPS = 64, 8, 4, 400


def pretrain(data, folder):
    """Some steps of SBAM on the images; returns the checkpoint."""
    torch.manual_seed(0)
    size = dict(img_size=SIDE, patch_size=PATCH)
    model = MODELS.build(
        dict(
            type='sbam_mm.MAE',
            backbone=dict(type='sbam_mm.MaskedViT', arch=ARCH, **size),
            masker=dict(type='sbam_mm.SBAM'),
            neck=dict(
                type='sbam_mm.MAEDecoder',
                embed_dim=64,
                decoder_embed_dim=32,
                decoder_depth=1,
                decoder_num_heads=2,
                **size),
            head=dict(type='sbam_mm.PixelHead', patch_size=PATCH)))
    model.init_weights()
    files = sorted((data['root'] / 'images/train').iterdir())[:IMAGES]
    pixels = np.stack([
        np.asarray(Image.open(file).convert('RGB').resize((SIDE, SIDE)))
        for file in files
    ])
    images = torch.tensor(pixels).permute(0, 3, 1, 2).float() / 64 - 2
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for _ in range(30):
        loss, _ = model.parse_losses(model(images, None, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    path = folder / 'pretrained.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def base_config(name, folder, steps=STEPS):
    """A recipe for few steps on one process."""
    cfg = Config.fromfile(ROOT / name)
    cfg.optim_wrapper.optimizer.lr = 1e-3
    cfg.optim_wrapper.paramwise_cfg.layer_decay_rate = 0.9
    cfg.optim_wrapper.pop('accumulative_counts', None)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=20),
        dict(type='PolyLR', power=1., eta_min=1e-5, by_epoch=False, begin=20,
             end=steps)
    ]
    cfg.train_cfg.update(max_iters=steps, val_interval=10**6)
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=steps // 2)
    cfg.log_processor.window_size = 10
    cfg.train_dataloader.batch_size = IMAGES
    dense_configs.on_one_process(cfg, folder)
    return cfg


def train_in_two_halves(cfg):
    """Stop after half of the steps, resume, and evaluate.

    Returns:
        tuple: Loss of the first and last steps, and the metrics.
    """
    steps = cfg.train_cfg.max_iters
    half = cfg.copy()
    half.train_cfg = dict(cfg.train_cfg, max_iters=steps // 2)
    losses = []
    for part in (half, cfg):
        part.resume = True
        part.experiment_name = f'part_{len(losses)}'
        runner = Runner.from_cfg(part)
        runner.train()
        history = runner.message_hub.get_scalar('train/loss')
        losses.append(history.data[0])
    assert runner.iter == steps
    # Resumed and not begun again: the history goes on.
    assert len(losses[1]) == steps
    return losses[1][:5].mean(), losses[1][-5:].mean(), runner.val()


def annotations_of(data, name):
    """An annotation file of the images that are learnt, and of no other.

    COCO's metric counts every object of the file, seen or not.
    """
    path = data['root'] / name
    coco = json.loads(path.read_text())
    images = sorted(coco['images'], key=lambda image: image['id'])
    taught = {
        annotation['image_id']
        for annotation in coco['annotations'] if not annotation['iscrowd']
    }
    coco['images'] = [i for i in images if i['id'] in taught][:IMAGES]
    ids = {image['id'] for image in coco['images']}
    coco['annotations'] = [
        a for a in coco['annotations'] if a['image_id'] in ids
    ]
    few = path.with_name(f'few_{name}')
    few.write_text(json.dumps(coco))
    return few


def steps_of_test(cfg):
    """The recipe's test pipeline at the test's size."""
    load, resize, labels, pack = cfg.test_dataloader.dataset.pipeline
    return [load, dict(resize, scale=(SIDE, SIDE)), labels, pack]


def test_a_detector_learns_images_by_heart(tmp_path):
    dense_configs.require('mmdet')
    from scenes import dense_data
    data = dense_data(tmp_path)
    annotations = annotations_of(data, 'instances_train.json')
    classes = data['things']
    cfg = base_config('configs/mmdet/vitdet_vitb_100e_coco.py', tmp_path)
    dense_configs.shrink_detector(
        cfg.model, pretrain(data, tmp_path), ARCH, SIDE, len(classes))
    load, resize, labels, pack = steps_of_test(cfg)
    dataset = dict(
        type='CocoDataset',
        data_root=str(data['root']),
        ann_file=annotations.name,
        data_prefix=dict(img='images/train/'),
        metainfo=dict(classes=classes))
    cfg.train_dataloader.dataset = dict(
        **dataset,
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[load, labels, resize, dict(type='PackDetInputs')])
    cfg.val_dataloader.dataset = dict(
        **dataset, test_mode=True, pipeline=[load, resize, labels, pack])
    cfg.val_evaluator.ann_file = str(annotations)
    init_default_scope('mmdet')
    first, last, metrics = train_in_two_halves(cfg)
    print(f'detection: loss {first:.2f} -> {last:.2f}, {metrics}')
    assert last < first / 2
    # Random boxes have an AP of 0; without any box there are no metrics.
    assert metrics.get('coco/bbox_mAP_50', 0) > 0.85
    assert metrics.get('coco/segm_mAP_50', 0) > 0.85


@pytest.mark.parametrize('flavour', ['', '_plain'])
def test_a_segmentor_learns_images_by_heart(tmp_path, flavour):
    dense_configs.require('mmseg')
    dense_configs.require('scenes')
    from scenes import dense_data
    data = dense_data(tmp_path)
    classes = data['stuff']
    cfg = base_config(
        f'configs/mmseg/upernet_vitb{flavour}_160k_ade20k.py', tmp_path)
    dense_configs.shrink_segmentor(
        cfg.model, pretrain(data, tmp_path), ARCH, SIDE, len(classes))
    cfg.model.test_cfg = dict(mode='whole')
    load = [
        dict(type='LoadImageFromFile'),
        dict(type='sbam_mm.LoadLabelMap', num_classes=len(classes)),
    ]
    resize = dict(type='Resize', scale=(SIDE, SIDE), keep_ratio=False)
    pack = dict(type='PackSegInputs')
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(data['root']),
        data_prefix=dict(
            img_path='images/train', seg_map_path='semantic/train'),
        metainfo=dict(classes=classes),
        indices=IMAGES)
    cfg.train_dataloader.dataset = dict(
        **dataset, pipeline=[*load, resize, pack])
    cfg.val_dataloader.dataset = dict(
        **dataset, test_mode=True, pipeline=[load[0], resize, load[1], pack])
    init_default_scope('mmseg')
    first, last, metrics = train_in_two_halves(cfg)
    print(f'segmentation{flavour}: loss {first:.2f} -> {last:.2f}, {metrics}')
    assert last < first / 4
    # Of the classes that occur; one class for all pixels is below 20.
    assert metrics['mIoU'] > 70
