"""ImageNet-1K at 224 x 224 with SimMIM's crops, 256 images per GPU."""
_base_ = './imagenet_224.py'

# As the official code: crops of at least 67 % of the image, bilinear.
train_pipeline = _base_.train_pipeline
train_pipeline[0].update(
    crop_ratio_range=(0.67, 1.0), interpolation='bilinear')
train_dataloader = dict(
    batch_size=256, dataset=dict(pipeline=train_pipeline))
