"""SimMIM with SBAM on small images: a ratio per image, around 0.6.

Paper:    none; the masker of Choi et al., ECCV 2024, in Xie et al., CVPR
          2022. Squares, base ratio and range are this project's choice.
Expected: not measured by this project.
Cost:     that of simmim_small.py; not measured by this project.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/simmim_sbam_small.py
"""
_base_ = './simmim_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.SBAM',
        ratio=0.6,
        delta_r=0.15,
        delta=0.1,
        noise=0.5,
        scope='sample',
        cell=2))
