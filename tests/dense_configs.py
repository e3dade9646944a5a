# Copyright (c) OpenMMLab. All rights reserved.
"""Configs of segmentation and detection made small enough for a test."""
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from mmengine.structures import InstanceData, PixelData

from sbam_mm.models import MaskedViT

ARCH = dict(
    embed_dims=32, num_layers=4, num_heads=2, feedforward_channels=64)
# mmdet cannot even be imported without mmcv's compiled operators.
NEEDS = dict(mmseg=('mmseg', ), mmdet=('mmcv._ext', 'mmdet'))
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
    model.data_preprocessor.batch_augments[0].size = (side, side)
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
        roi.mask_head.num_classes = classes


def segmentation_samples(classes, side=SIDE):
    """Two images' worth of labels."""
    from mmseg.structures import SegDataSample
    return [
        SegDataSample(
            gt_sem_seg=PixelData(
                data=torch.randint(0, classes, (1, side, side))),
            metainfo=dict(img_shape=(side, side), ori_shape=(side, side)))
        for _ in range(2)
    ]


def detection_samples(side=SIDE):
    """An image with one object, and one without any."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    samples = []
    for count in (1, 0):
        masks = np.zeros((count, side, side), np.uint8)
        masks[:, 8:40, 8:32] = 1
        box = torch.tensor([[8., 8., 32., 40.]])[:count]
        meta = dict(
            img_shape=(side, side), ori_shape=(side, side),
            pad_shape=(side, side), batch_input_shape=(side, side),
            scale_factor=(1., 1.))
        samples.append(
            DetDataSample(
                metainfo=meta,
                gt_instances=InstanceData(
                    bboxes=box,
                    labels=torch.zeros(count, dtype=torch.long),
                    masks=BitmapMasks(masks, side, side)),
                ignored_instances=InstanceData(
                    bboxes=box[:0], labels=torch.zeros(0, dtype=torch.long))))
    return samples


def build(cfg):
    """The model of a config in its own library's scope."""
    require(cfg.default_scope)
    init_default_scope(cfg.default_scope)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def tiny(cfg, folder):
    """The model of a config, small, and a batch for it.

    Args:
        cfg (Config): Changed in place.
        folder (Path): For the encoder's file.

    Returns:
        tuple: The model with the encoder's weights, inputs, data samples.
    """
    require(cfg.default_scope)
    checkpoint = encoder_file(folder)
    images = torch.rand(2, 3, SIDE, SIDE)
    if cfg.default_scope == 'mmseg':
        shrink_segmentor(cfg.model, checkpoint)
        model = build(cfg)
        return model, images, segmentation_samples(
            model.decode_head.num_classes)
    shrink_detector(cfg.model, checkpoint)
    return build(cfg), images, detection_samples()
