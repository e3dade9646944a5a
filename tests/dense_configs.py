# Copyright (c) OpenMMLab. All rights reserved.
"""Configs of segmentation and detection made small enough for a test."""
import pytest
import torch

from sbam_mm.engine.launch import prepare_launch
from sbam_mm.models import MaskedViT

ARCH = dict(
    embed_dims=32, num_layers=4, num_heads=2, feedforward_channels=64)
# mmdet cannot even be imported without mmcv's compiled operators.
NEEDS = dict(mmseg=('mmseg', ), mmdet=('mmcv._ext', 'mmdet'),
             scenes=('pycocotools', ))
SIDE = 64


def require(scope):
    """Skip where a config's library is not installed."""
    for name in NEEDS[scope]:
        pytest.importorskip(
            name,
            reason=f'{name} is not installed (docs/transfer.md says how)',
            exc_type=ImportError)


def encoder_file(folder, arch=ARCH, seed=0):
    """A pre-training checkpoint with random weights."""
    torch.manual_seed(seed)
    vit = MaskedViT(arch, img_size=32, patch_size=8)
    vit.init_weights()
    path = folder / 'encoder.pth'
    torch.save(
        dict(state_dict={f'backbone.{k}': v
                         for k, v in vit.state_dict().items()}), path)
    return path


def shrink_segmentor(model, checkpoint, arch=ARCH, side=SIDE, classes=None):
    """Change the model of a config in place; BatchNorm for one process."""
    width = arch['embed_dims']
    norm = dict(type='BN')
    model.data_preprocessor.size = (side, side)
    model.backbone.update(
        arch=arch,
        img_size=side,
        patch_size=8,
        out_indices=[0, 1, 2, 3],
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)))
    model.neck.update(embed_dim=width, norm_cfg=norm)
    model.decode_head.update(
        in_channels=[width] * 4, channels=32, norm_cfg=norm)
    model.auxiliary_head.update(
        in_channels=width, channels=16, norm_cfg=norm)
    model.test_cfg.update(
        crop_size=(side, side), stride=(side * 2 // 3, side * 2 // 3))
    if classes:
        model.decode_head.num_classes = classes
        model.auxiliary_head.num_classes = classes


def shrink_detector(model, checkpoint, arch=ARCH, side=SIDE, classes=None):
    """Change the model of a config in place."""
    model.data_preprocessor.pad_size_divisor = side
    model.backbone.update(
        arch=arch,
        patch_size=8,
        img_size=32,
        window_size=3,
        rel_pos_size=side // 8,
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)))
    model.neck.update(in_channels=arch['embed_dims'], out_channels=32)
    model.rpn_head.update(in_channels=32, feat_channels=32)
    # Half of the strides, as patches have half of their side.
    model.rpn_head.anchor_generator.strides = [2, 4, 8, 16, 32]
    roi = model.roi_head
    for extractor in (roi.bbox_roi_extractor, roi.mask_roi_extractor):
        extractor.update(out_channels=32, featmap_strides=[2, 4, 8, 16])
    roi.bbox_head.update(
        in_channels=32, conv_out_channels=32, fc_out_channels=64)
    roi.mask_head.update(in_channels=32, conv_out_channels=32)
    if classes:
        roi.bbox_head.num_classes = classes
        if 'num_classes' in roi.bbox_head.loss_cls:
            roi.bbox_head.loss_cls.num_classes = classes
        roi.mask_head.num_classes = classes


def on_one_process(cfg, folder):
    """Change a recipe for 8 GPUs in place: one process and no workers."""
    cfg.work_dir = str(folder / 'work')
    cfg.env_cfg.cudnn_benchmark = False
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.num_workers = 0
        loader.persistent_workers = False
    prepare_launch(cfg, 'none')
