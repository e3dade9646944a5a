"""Small images (32 x 32) to pre-train on, and to classify by neighbours.

Expects DATA_ROOT (default: data/cifar10) with train/<class>/* and
test/<class>/*; images of other sizes are resized to 32 x 32.
"""
data_root = '{{$DATA_ROOT:data/cifar10}}'

# ImageFolder decodes, so the pipeline begins with the crop.
train_pipeline = [
    dict(
        type='RandomResizedCrop',
        scale=32,
        crop_ratio_range=(0.2, 1.0),
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
train_dataset = dict(
    type='sbam_mm.ImageFolder',
    data_root=data_root,
    data_prefix='train',
    cache=True,
    pipeline=train_pipeline)
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=train_dataset)

plain_pipeline = [
    dict(type='Resize', scale=(32, 32), interpolation='bicubic'),
    dict(type='PackInputs'),
]
knn_bank = dict(
    type='sbam_mm.ImageFolder',
    data_root=data_root,
    data_prefix='train',
    pipeline=plain_pipeline)
knn_query = dict(knn_bank, data_prefix='test')
