"""MAE with a ViT for 96 x 96 images: 4 blocks, 96 wide, patches of 8."""
_base_ = './mae_small.py'

size = dict(img_size=96, patch_size=8)

model = dict(
    data_preprocessor=dict(
        mean=[114.1, 112.3, 103.9], std=[66.3, 65.5, 69.0]),
    backbone=size,
    neck=size,
    head=dict(patch_size=8))
