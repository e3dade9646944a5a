"""ADE20K's 150 classes at 512 x 512, 2 images per GPU.

Expects DATA_ROOT (default: data/ade/ADEChallengeData2016) with
images/{training,validation} and annotations/{training,validation}.
"""
classes = 150
crop = (512, 512)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    # Indices from 0 to 149 after 0, which is "other", became 255.
    dict(type='sbam_mm.LoadLabelMap', num_classes=classes),
    dict(
        type='RandomResize',
        scale=(2048, 512),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    # After the resize: predictions are compared at the original size.
    dict(type='sbam_mm.LoadLabelMap', num_classes=classes),
    dict(type='PackSegInputs'),
]
dataset = dict(
    type='ADE20KDataset',
    data_root='{{$DATA_ROOT:data/ade/ADEChallengeData2016}}')
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **dataset,
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        data_prefix=dict(
            img_path='images/validation',
            seg_map_path='annotations/validation'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
