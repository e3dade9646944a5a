"""The schedule of small_4e.py over twenty epochs."""
_base_ = './small_4e.py'

max_epochs = 20
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-2,
        begin=0,
        end=0.1 * max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=0.9 * max_epochs,
        eta_min=0.,
        begin=0.1 * max_epochs,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
