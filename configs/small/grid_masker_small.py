"""Grid masking on small images: every other token in both directions.

Paper:    none; a control; MAE's ablation, He et al., CVPR 2022, Table 1f.
Expected: not measured by this project.
Cost:     not measured by this project; that of random masking.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/grid_masker_small.py
"""
_base_ = './mae_small.py'

model = dict(masker=dict(_delete_=True, type='sbam_mm.GridMasker'))
