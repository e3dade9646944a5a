"""ImageNet-1K in CMAE's pairs of views, 224 x 224, 512 images per GPU.

One crop of 256 pixels; the online view is its corner, the target view is
shifted by up to 31 pixels and changed in colour.
"""
_base_ = './imagenet_224.py'

crop, flip, pack = _base_.train_pipeline
train_pipeline = [
    dict(crop, scale=256),
    flip,
    dict(
        type='sbam_mm.PixelShift',
        size=224,
        max_shift=31,
        target=[
            dict(
                type='RandomApply',
                transforms=[
                    dict(
                        type='ColorJitter', brightness=0.4, contrast=0.4,
                        saturation=0.4, hue=0.1)
                ],
                prob=0.8),
            dict(
                type='RandomGrayscale', prob=0.2, keep_channels=True,
                channel_weights=(0.114, 0.587, 0.2989)),
            dict(
                type='GaussianBlur', magnitude_range=(0.1, 2.0),
                magnitude_std='inf', prob=0.5),
        ]),
    pack,
]
del crop, flip, pack
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
