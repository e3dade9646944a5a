"""Attention-driven masking and throwing (AMT) on small images.

Maps after every epoch; random masks in the first. Of 64 tokens 28 are
hidden, 26 thrown away and 10 visible.

Paper:    none at this size; the method of Liu et al., AAAI 2023, with its
          ratios and an interval of 1 epoch in place of 40.
Expected: not measured by this project.
Cost:     mae_small.py's with fewer tokens, and an encoder pass over all
          images per epoch.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/amt_small.py
"""
_base_ = './am_small.py'

model = dict(masker=dict(type='sbam_mm.AMT', ratio=0.45, throw=0.4))
