"""DINO on small images: nothing masked.

Paper:    none; the method of Caron et al., ICCV 2021.
Expected: trains, but minutes do not teach it. On CIFAR-10 (seed 0, teacher's
          class token, k=20, 5000 + 2000 images) kNN fell from 26.7 % to
          24.1 % in 120 steps of 64 with the teacher's momentum at 0.9 to
          0.99; with patches of 8 pixels from 27.8 % to 24.7 % in 320 steps
          (mean of patch tokens: 27.9 to 27.1 %). The 4 epochs of this config
          were not run: a picture of the method, no representation to use.
Cost:     about 80 images a second per CPU core, measured over few steps.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/dino_small.py
"""
_base_ = '../_base_/multi_crop_small.py'

model = dict(
    type='sbam_mm.DINO',
    backbone=dict(learned_position=True),
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
