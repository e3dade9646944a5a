"""SimMIM on small images: squares of 2 x 2 patches, relative positions.

Paper:    none; the method of Xie et al., CVPR 2022, with its defaults.
Expected: not measured by this project.
Cost:     not measured by this project; all 64 tokens pass the encoder, four
          times as many as in mae_small.py.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/simmim_small.py
"""
_base_ = './mae_small.py'

model = dict(
    type='sbam_mm.SimMIM',
    backbone=dict(
        type='sbam_mm.MaskedBEiT', layer_scale_init_value=0.1),
    # Of 16 squares 10 are masked.
    masker=dict(ratio=0.6, rounding='floor', cell=2),
    neck=dict(
        _delete_=True,
        type='sbam_mm.LinearDecoder',
        embed_dim=96,
        patch_size=4),
    head=dict(norm_pix=False, criterion='L1'))
