"""ConvMAE on small images: stages of 32 x 32, 16 x 16 and 8 x 8 cells.

Paper:    none; the method of Gao et al., NeurIPS 2022, with its defaults.
Expected: not measured by this project.
Cost:     not measured by this project.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/convmae_small.py
"""
_base_ = './mae_small.py'

model = dict(
    type='sbam_mm.ConvMAE',
    backbone=dict(
        _delete_=True,
        type='sbam_mm.ConvViT',
        arch=dict(embed_dims=(32, 64, 96), depths=(1, 1, 3), num_heads=3),
        img_size=32,
        patch_sizes=(1, 2, 2)))
