"""MAE guided by segments, ViT-B/8, 1600 epochs: the first phase.

Batch and rates are those of the method on ImageNet-1K: the paper leaves them
to a supplement that is not public. How u_pos and u_neg start is not said
either: at 0.

Paper:    Taguchi et al., SAM Helps SSL: Mask-guided Attention Bias for
          Self-supervised Learning, BMVC 2024, Table 1.
Expected: not in the paper; the second phase gives 81.3 % linear probing (MAE
          78.1). Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/mae_vitb8_bias_1600e.py 8
"""
_base_ = [
    '../_base_/runtime.py',
    '../_base_/segments_224.py',
    '../_base_/mae_vitb.py',
    '../_base_/schedule_1600e.py',
]

model = dict(
    backbone=dict(patch_size=8, segment_bias=dict(sharing='head_and_layer')),
    neck=dict(patch_size=8),
    head=dict(patch_size=8))

train_pipeline = _base_.train_pipeline
train_pipeline[2].update(grid=28)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
