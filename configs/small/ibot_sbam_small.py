"""iBOT with SBAM on small images: a ratio for every view.

Paper:    none; Choi et al., ECCV 2024, in the method of Zhou et al., ICLR
          2022; see ``sbam_mm.models.iBOT`` for what that means.
Expected: not measured by this project.
Cost:     about 80 images a second per CPU core, measured over few steps.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/ibot_sbam_small.py
"""
_base_ = './ibot_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.MaskSomeViews',
        probability=0.5,
        masker=dict(
            type='sbam_mm.SBAM',
            ratio=0.3,
            delta_r=0.15,
            delta=0.1,
            noise=0.5,
            scope='sample')))
