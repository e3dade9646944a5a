"""MAE's ViT-B on ImageNet for 400 epochs, with stored attention maps.

The maps are renewed every 40 epochs and take 0.5 GB each time, under
work_dir/attention_maps; the last two versions are kept.
"""
_base_ = [
    './runtime.py',
    './imagenet_224.py',
    './mae_vitb.py',
    './schedule_400e.py',
]

# With a crop that says where it was made, so that the map can follow.
train_pipeline = [
    dict(
        type='sbam_mm.LoadRandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='sbam_mm.LoadAttentionMap', grid=(14, 14)),
    dict(type='PackInputs', algorithm_keys=['attention_map']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

custom_hooks = [
    dict(
        type='sbam_mm.AttentionMapHook',
        interval=40,
        batch_size=256,
        num_workers=12),
    *_base_.custom_hooks,
]
