"""SBAM with per-image AMR on small images: the other half of quickstart.

Paper:    none; the method of Choi et al., ECCV 2024, with its defaults.
Expected: see the table in README.md.
Cost:     about a minute per epoch of 50,000 images on two CPU cores.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/sbam_small.py
"""
_base_ = './mae_small.py'

model = dict(
    masker=dict(
        type='sbam_mm.SBAM', delta_r=0.15, delta=0.1, noise=0.5,
        scope='sample'))
