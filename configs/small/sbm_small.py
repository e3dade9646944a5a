"""SBM, salience masking at one ratio, on small images.

Paper:    none; the method of Choi et al., ECCV 2024, without AMR.
Expected: not measured by this project.
Cost:     about a minute per epoch of 50,000 images on two CPU cores.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/sbm_small.py
"""
_base_ = './mae_small.py'

model = dict(
    masker=dict(_delete_=True, type='sbam_mm.SBM', ratio=0.75, noise=0.5))
