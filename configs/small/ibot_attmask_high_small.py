"""AttMask-High in iBOT on small images.

Paper:    none; the method of Kakogeorgiou et al., ECCV 2022.
Expected: not measured by this project.
Cost:     about 80 images a second per CPU core, measured over few steps.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/ibot_attmask_high_small.py
"""
_base_ = './ibot_small.py'

model = dict(
    masker=dict(type='sbam_mm.AttMask', mode='high', source='teacher'))
