"""Block-wise masking on small images, at MAE's ratio.

Paper:    none; the ablation of He et al., CVPR 2022, Table 1f, with BEiT's
          blocks.
Expected: not measured by this project.
Cost:     not measured by this project; that of random masking.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/block_masker_small.py
"""
_base_ = './mae_small.py'

model = dict(
    masker=dict(_delete_=True, type='sbam_mm.BlockMasker', ratio=0.75))
