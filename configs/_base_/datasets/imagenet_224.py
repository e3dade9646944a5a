"""ImageNet-1K at 224 x 224 with MAE's augmentation, 512 images per GPU.

Expects DATA_ROOT (default: data/imagenet) with train/<class>/*.JPEG; any
other folder of images works as well.
"""
data_preprocessor = dict(
    type='SelfSupDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
    # From pinned memory, while the device still computes.
    non_blocking=True)

# The crop decodes what it needs, to the bit as if it were all; decode='fast'
# is for faster input (docs/data.md).
train_pipeline = [
    dict(
        type='sbam_mm.LoadRandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=512,
    num_workers=12,
    persistent_workers=False,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='sbam_mm.ImageFolder',
        data_root='{{$DATA_ROOT:data/imagenet}}',
        data_prefix='train',
        pipeline=train_pipeline))
