"""ImageNet-1K with attention maps and SimMIM's crops, 256 images per GPU."""
_base_ = './attention_maps_224.py'

train_pipeline = _base_.train_pipeline
train_pipeline[0].update(
    crop_ratio_range=(0.67, 1.0), interpolation='bilinear')
train_dataloader = dict(
    batch_size=256, dataset=dict(pipeline=train_pipeline))
