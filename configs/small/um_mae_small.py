"""UM-MAE on small images: a quarter of the visible tokens is covered.

Paper:    none; the method of Li et al., Uniform Masking, 2022, with a plain
          ViT.
Expected: not measured by this project.
Cost:     not measured by this project; that of random masking.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/um_mae_small.py
"""
_base_ = './mae_small.py'

model = dict(
    type='sbam_mm.UMMAE',
    masker=dict(_delete_=True, type='sbam_mm.UniformMasker'),
    secondary=0.25)
