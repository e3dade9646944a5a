"""SBAM hides the salient patches, segments guide attention, on small images.

SEGMENTS names the map file of segment_bias_mae_small.py.

Paper:    none; the method of Taguchi et al., BMVC 2024.
Expected: not measured by this project.
Cost:     not measured by this project.
Command:  DATA_ROOT=data/cifar10 SEGMENTS=data/segments.npy .venv/bin/python \
              tools/train.py configs/small/segment_sbam_small.py
"""
_base_ = './segment_bias_mae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.SBAM',
        ratio=0.75,
        delta_r=0.15,
        delta=0.1,
        noise=0.5,
        scope='sample'))
