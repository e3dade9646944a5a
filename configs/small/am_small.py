"""Attention-driven masking (AM) on small images, maps after every epoch.

Random masks in the first epoch; then tokens are drawn by the class token's
attention to them, and the first three quarters are hidden.

Paper:    none at this size; the method of Liu et al., AAAI 2023, with its
          ratio and an interval of 1 epoch in place of 40.
Expected: not measured by this project.
Cost:     mae_small.py's, and an encoder pass over all images per epoch.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/am_small.py
"""
_base_ = '../_base_/attention_maps_small.py'

model = dict(masker=dict(_delete_=True, type='sbam_mm.AM', ratio=0.75))
