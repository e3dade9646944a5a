# Copyright (c) OpenMMLab. All rights reserved.
"""mmpretrain's own MAE, tiny: hooks and evaluation serve any model."""


def mmpretrain_mae(data_preprocessor, mask_ratio=0.75):
    """Config of an MAE for 16 x 16 images in 4 x 4 patches."""
    return dict(
        type='MAE',
        backbone=dict(
            type='MAEViT',
            arch=dict(
                embed_dims=24,
                num_layers=2,
                num_heads=3,
                feedforward_channels=48),
            img_size=16,
            patch_size=4,
            mask_ratio=mask_ratio),
        neck=dict(
            type='MAEPretrainDecoder',
            num_patches=16,
            patch_size=4,
            embed_dim=24,
            decoder_embed_dim=16,
            decoder_depth=1,
            decoder_num_heads=2),
        head=dict(
            type='MAEPretrainHead',
            patch_size=4,
            loss=dict(type='PixelReconstructionLoss', criterion='L2')),
        data_preprocessor=data_preprocessor)
