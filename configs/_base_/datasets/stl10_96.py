"""STL-10 (96 x 96) with a mask of the object in every image.

Expects DATA_ROOT (default: data/stl10) with images/train/<class>/*,
images/val/<class>/* and object_masks.npz; docs/studies.md says how to get
them.
"""
data_root = '{{$DATA_ROOT:data/stl10}}'

# ImageFolder decodes, so the pipeline begins with the crop.
train_pipeline = [
    dict(
        type='RandomResizedCrop',
        scale=96,
        crop_ratio_range=(0.2, 1.0),
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
train_dataset = dict(
    type='sbam_mm.ImageFolder',
    data_root=data_root + '/images',
    data_prefix='train',
    cache=True,
    pipeline=train_pipeline)
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=train_dataset)

knn_bank = dict(
    type='sbam_mm.ImageFolder',
    data_root=data_root + '/images',
    data_prefix='train',
    cache=True,
    pipeline=[
        dict(type='Resize', scale=(96, 96), interpolation='bicubic'),
        dict(type='PackInputs'),
    ])
knn_query = dict(knn_bank, data_prefix='val')
object_masks = data_root + '/object_masks.npz'
