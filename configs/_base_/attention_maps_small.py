"""Small images with stored attention maps, renewed after every epoch."""
_base_ = './small_images.py'

# With a crop that says where it was made, so that the map can follow.
train_pipeline = [
    dict(
        type='sbam_mm.RandomResizedCrop',
        scale=32,
        crop_ratio_range=(0.2, 1.0),
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='sbam_mm.LoadAttentionMap', grid=(8, 8)),
    dict(type='PackInputs', algorithm_keys=['attention_map']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

custom_hooks = [
    dict(type='sbam_mm.AttentionMapHook', interval=1),
    *_base_.custom_hooks,
]
