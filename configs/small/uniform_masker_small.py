"""UM-MAE's uniform masking on small images: one visible token in 2 x 2.

Paper:    none; the sampling of Li et al., Uniform Masking, 2022, without its
          secondary masking, in MAE with a plain ViT.
Expected: not measured by this project.
Cost:     not measured by this project; that of random masking.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/uniform_masker_small.py
"""
_base_ = './mae_small.py'

model = dict(masker=dict(_delete_=True, type='sbam_mm.UniformMasker'))
