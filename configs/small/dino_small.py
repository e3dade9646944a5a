"""DINO on small images: nothing masked.

Paper:    none; the method of Caron et al., ICCV 2021.
Expected: not measured by this project.
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
    momentum=0.99,
    end_momentum=1.)
