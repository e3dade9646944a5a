"""CrossMAE on small images: two decoder blocks, a third of what is masked.

Paper:    none; the method of Fu et al., TMLR 2025, with its defaults.
Expected: not measured by this project.
Cost:     not measured by this project.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/crossmae_small.py
"""
_base_ = './mae_small.py'

model = dict(
    neck=dict(
        type='sbam_mm.CrossDecoder',
        decoder_depth=2,
        looks_at=['input', *range(4)],
        prediction=1 / 3))
