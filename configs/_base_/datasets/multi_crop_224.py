"""ImageNet-1K as DINO, iBOT and AttMask crop it: 2 global, 10 local views.

64 images, that is 768 crops, per GPU. Expects DATA_ROOT (default:
data/imagenet) with train/<class>/*.JPEG.
"""
_base_ = './imagenet_224.py'

colour = [
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
    # The weights of blue, green and red: images are BGR here.
    dict(
        type='RandomGrayscale',
        prob=0.2,
        keep_channels=True,
        channel_weights=(0.114, 0.587, 0.2989)),
]
global_crop = dict(
    type='RandomResizedCrop',
    scale=224,
    crop_ratio_range=(0.25, 1.0),
    backend='pillow',
    interpolation='bicubic')
local_crop = dict(
    type='RandomResizedCrop',
    scale=96,
    crop_ratio_range=(0.05, 0.25),
    backend='pillow',
    interpolation='bicubic')
# A radius from U(0.1, 2).
blur = dict(type='GaussianBlur', magnitude_range=(0.1, 2.0),
            magnitude_std='inf')

train_pipeline = [
    dict(
        type='MultiView',
        num_views=[1, 1, 10],
        transforms=[
            [global_crop, *colour, dict(blur, prob=1.0)],
            [
                global_crop, *colour,
                dict(blur, prob=0.1),
                dict(type='Solarize', thr=128, prob=0.2)
            ],
            [local_crop, *colour, dict(blur, prob=0.5)],
        ]),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=64, dataset=dict(pipeline=train_pipeline))
