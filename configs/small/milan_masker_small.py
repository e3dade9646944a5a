"""MILAN's masker in MAE on small images: attended patches stay visible.

The teacher is the moving average of the encoder; MILAN's is CLIP, whose
features are its targets, too. Here the targets are pixels.

Paper:    none; the masker of Hou et al., MILAN, 2022, in MAE.
Expected: not measured by this project.
Cost:     not measured by this project; one encoder pass over all tokens more
          than random masking.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/milan_masker_small.py
"""
_base_ = './mae_small.py'

model = dict(
    teacher=dict(
        type='sbam_mm.MomentumTeacher', momentum=0.996, end_momentum=1.),
    masker=dict(_delete_=True, type='sbam_mm.MILANMasker', ratio=0.75))
