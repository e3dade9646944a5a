"""CAE with SBAM on small images: a ratio per image, around a half.

Paper:    none; Choi et al., ECCV 2024, in Chen et al., IJCV 2023.
Expected: not measured by this project.
Cost:     that of cae_small.py; not measured by this project.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/cae_sbam_small.py
"""
_base_ = './cae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.SBAM',
        ratio=0.5,
        delta_r=0.15,
        delta=0.1,
        noise=0.5,
        scope='sample'))
