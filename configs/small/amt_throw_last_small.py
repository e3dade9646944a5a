"""AMT that throws the least attended tokens instead of the middle.

Paper:    none at this size; the ablation of Liu et al., AAAI 2023, Table 4:
          52.6 % on Tiny ImageNet where AMT has 53.3 (linear probing,
          ViT-B, 200 epochs on ImageNet).
Expected: not measured by this project.
Cost:     as amt_small.py.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/amt_throw_last_small.py
"""
_base_ = './amt_small.py'

model = dict(masker=dict(throw_last=True))
