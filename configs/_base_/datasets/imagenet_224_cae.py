"""ImageNet-1K for CAE: every crop at 224 pixels, and at 112 for DALL-E.

Expects DATA_ROOT (default: data/imagenet) with train/<class>/*.JPEG; any
other folder of images works as well. 256 images per GPU.
"""
_base_ = './imagenet_224.py'

data_preprocessor = dict(
    type='TwoNormDataPreprocessor',
    # DALL-E's scale: 0.1 + 0.8 x for pixels x in [0, 1].
    second_mean=[-31.875, -31.875, -31.875],
    second_std=[318.75, 318.75, 318.75])

train_pipeline = [
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResizedCropAndInterpolationWithTwoPic',
        size=224,
        second_size=112,
        interpolation='bicubic',
        second_interpolation='lanczos',
        scale=(0.08, 1.0)),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=256, dataset=dict(pipeline=train_pipeline))
