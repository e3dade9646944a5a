"""SimMIM's ViT-B for 200 epochs, with stored attention maps, as AMT has it.

The maps are renewed every 40 epochs and take 0.5 GB each time, under
work_dir/attention_maps; the last two versions are kept.
"""
_base_ = [
    './runtime.py',
    './imagenet_224_simmim.py',
    './simmim_vitb_absolute.py',
    './schedule_simmim_200e.py',
]

# With a crop that says where it was made, so that the map can follow.
train_pipeline = [
    dict(
        type='sbam_mm.LoadRandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.67, 1.0),
        backend='pillow',
        interpolation='bilinear'),
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
