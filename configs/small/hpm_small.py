"""HPM on small images: the model's own teacher tells which patches are hard.

Paper:    none; the method of Wang et al., CVPR 2023, with its defaults.
Expected: not measured by this project.
Cost:     not measured by this project; one more decoder than MAE, and one
          encoder pass over all tokens without gradient.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/hpm_small.py
"""
_base_ = './mae_small.py'

model = dict(
    type='sbam_mm.HPM',
    masker=dict(
        _delete_=True,
        type='sbam_mm.HPMMasker',
        ratio=0.75,
        start=0.,
        end=0.5),
    learning='relative',
    momentum=0.999,
    end_momentum=0.9999,
    ramp_epochs=100)
