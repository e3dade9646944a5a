"""ImageNet at 224 x 224 with MAE's augmentation for fine-tuning.

Expects DATA_ROOT (default: data/imagenet) with train/<class>/*.JPEG and
val/<class>/*.JPEG. 128 images per GPU, 8 GPUs.
"""
_base_ = './imagenet_224.py'

data_root = '{{$DATA_ROOT:data/imagenet}}'
size = 224
num_classes = 1000

# As the transforms see images: BGR.
bgr_mean = [103.53, 116.28, 123.675]
bgr_std = [57.375, 57.12, 58.395]
data_preprocessor = dict(
    _delete_=True,
    num_classes=num_classes,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

# The crop decodes what it needs, to the bit as if it were all; decode='fast'
# is for faster input (docs/data.md). For the others ImageFolder decodes.
train_pipeline = [
    dict(
        type='sbam_mm.LoadRandomResizedCrop',
        scale=size,
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(
            pad_val=[round(x) for x in bgr_mean], interpolation='bicubic')),
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=bgr_mean,
        fill_std=bgr_std),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(
        type='ResizeEdge',
        scale=256,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=size),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=128, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=128,
    num_workers=12,
    persistent_workers=False,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='sbam_mm.ImageFolder',
        data_root=data_root,
        data_prefix='val',
        pipeline=test_pipeline,
        test_mode=True))
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
