"""BootMAE with SBAM on small images: a ratio per image.

Paper:    none; the masker of Choi et al., ECCV 2024, in Dong et al., ECCV
          2022.
Expected: not measured by this project.
Cost:     that of bootmae_small.py; not measured by this project.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/bootmae_sbam_small.py
"""
_base_ = './bootmae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.SBAM',
        ratio=0.75,
        delta_r=0.15,
        delta=0.1,
        noise=0.5,
        scope='sample'))
