"""SimMIM's schedule over 200 epochs: a cosine, the default of its code.

Its file for ViT-B has a step at 700 of 800 epochs, which 200 do not reach.
Warm-up and rates are the code's: 1e-4 x 2048 / 512, from 5e-7 and to 5e-6
times the same.
"""
_base_ = './schedule_simmim_800e.py'

max_epochs = 200
param_scheduler = [
    _base_.param_scheduler[0],
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - _base_.warmup_epochs,
        eta_min=5e-6 * 2048 / 512,
        begin=_base_.warmup_epochs,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
