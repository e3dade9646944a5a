"""Attention-driven masking (AM) on small images, maps after every epoch.

Random masks in the first epoch; then tokens are drawn by the class token's
attention to them, and the first three quarters are hidden.

Paper:    none at this size; the method of Liu et al., AAAI 2023, with its
          ratio and an interval of 1 epoch in place of 40.
Expected: not measured by this project.
Cost:     mae_small.py's, and an encoder pass over all images per epoch.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/am_small.py
"""
_base_ = './mae_small.py'

model = dict(masker=dict(type='sbam_mm.AM'))

crop, flip, _ = _base_.train_pipeline
train_pipeline = [
    # With a crop that says where it was made, so that the map can follow.
    dict(crop, type='sbam_mm.RandomResizedCrop'),
    flip,
    dict(type='sbam_mm.LoadAttentionMap', grid=(8, 8)),
    dict(type='PackInputs', algorithm_keys=['attention_map']),
]
del crop, flip, _
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [
    dict(type='sbam_mm.AttentionMapHook', interval=1),
    *_base_.custom_hooks,
]
