"""SBAM's salience at a ratio that rises from 0.6 to 0.9 over the training.

The range of AMR, walked through in time instead of chosen per image.

Paper:    none; a control that Choi et al., ECCV 2024, do not report.
Expected: not measured by this project.
Cost:     not measured by this project; that of SBM on average.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/ablations/scheduled_ratio_small.py
"""
_base_ = '../small/mae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AffinitySalience'),
        ratio=dict(type='sbam_mm.ScheduledRatio', start=0.6, end=0.9),
        selection=dict(type='sbam_mm.NoisyTopK', noise=0.5)))
