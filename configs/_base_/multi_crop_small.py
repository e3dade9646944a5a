"""Small images in 2 global crops of 32 and 2 local ones of 16 pixels.

Augmentation as far as 32 pixels bear it: no blur, no solarization.
"""
_base_ = './small_images.py'

views = [
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomApply',
        transforms=dict(
            type='ColorJitter',
            brightness=0.4,
            contrast=0.4,
            saturation=0.2,
            hue=0.1,
            backend='cv2'),
        prob=0.8),
    dict(
        type='RandomGrayscale',
        prob=0.2,
        keep_channels=True,
        channel_weights=(0.114, 0.587, 0.2989)),
]
train_pipeline = [
    dict(
        type='MultiView',
        num_views=[2, 2],
        transforms=[
            [
                dict(
                    type='RandomResizedCrop',
                    scale=32,
                    crop_ratio_range=(0.25, 1.0),
                    interpolation='bicubic'), *views
            ],
            [
                dict(
                    type='RandomResizedCrop',
                    scale=16,
                    crop_ratio_range=(0.05, 0.25),
                    interpolation='bicubic'), *views
            ],
        ]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

*hooks, knn = _base_.custom_hooks
custom_hooks = hooks + [
    dict(type='sbam_mm.ClipEachGradientHook', max_norm=3.0),
    dict(type='sbam_mm.FreezeLastLayerHook', epochs=1),
    dict(knn, feature='cls'),
]
del hooks, knn

optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.04))
param_scheduler = _base_.param_scheduler + [
    dict(
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        T_max=_base_.max_epochs,
        eta_min_ratio=10.,
        begin=0,
        end=_base_.max_epochs,
        by_epoch=True,
        convert_to_iter_based=True)
]
