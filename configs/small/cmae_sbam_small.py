"""CMAE with SBAM on small images: squares of 2 x 2, a ratio per image.

Paper:    none; the masker of Choi et al., ECCV 2024, in Huang et al., 2022.
          Squares, base ratio and range are this project's choice.
Expected: not measured by this project.
Cost:     that of cmae_small.py; not measured by this project.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/cmae_sbam_small.py
"""
_base_ = './cmae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.SBAM',
        ratio=0.65,
        delta_r=0.15,
        delta=0.1,
        noise=0.5,
        scope='sample',
        cell=2))
