"""SimMIM's schedule over 200 epochs, with a cosine instead of a step.

Its end, 1e-5 x 2048 / 512, is that of mmpretrain's 100-epoch SimMIM.
"""
_base_ = './schedule_simmim_800e.py'

max_epochs = 200
param_scheduler = [
    _base_.param_scheduler[0],
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - _base_.warmup_epochs,
        eta_min=1e-5 * 2048 / 512,
        begin=_base_.warmup_epochs,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
