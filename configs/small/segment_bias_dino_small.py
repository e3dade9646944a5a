"""DINO on small images, its attention guided by segments: the first phase.

SEGMENTS names the map file that tools/generate_segments.py makes; see
configs/_base_/segments_small.py.

Paper:    none; the method of Taguchi et al., BMVC 2024.
Expected: trains, but minutes teach neither it nor the bias: kNN 24.7 -> 24.6 %
          and u below .02 (2,000 CIFAR-10 images, 6 epochs, seed 0).
Cost:     about a minute per epoch of 2,000 images on a busy CPU core.
Command:  DATA_ROOT=data/cifar10 SEGMENTS=data/segments.npy \
          .venv/bin/python tools/train.py \
              configs/small/segment_bias_dino_small.py
"""
_base_ = '../_base_/segments_multi_crop_small.py'

model = dict(
    type='sbam_mm.DINO',
    backbone=dict(learned_position=True, segment_bias=dict()),
    neck=None,
    head=dict(
        _delete_=True,
        type='sbam_mm.DINOHead',
        in_dim=96,
        out_dim=256,
        hidden_dim=256,
        bottleneck_dim=64),
    masker=None,
    # Few steps: a teacher that follows faster, no warm-up of temperatures.
    cls_loss=dict(teacher_temperature=0.04),
    momentum=0.95,
    end_momentum=0.995)
