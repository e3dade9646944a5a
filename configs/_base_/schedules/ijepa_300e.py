"""Schedule of I-JEPA over 300 epochs, for 2048 images a step.

AdamW, 2e-4 to 1e-3 in 40 epochs and along a cosine to 1e-6; weight decay 0.04
to 0.4 along a cosine.
"""
_base_ = './mae_300e.py'

optim_wrapper = dict(
    optimizer=dict(lr=1e-3, betas=(0.9, 0.999), weight_decay=0.04))
_base_.param_scheduler[0].update(start_factor=0.2)
_base_.param_scheduler[1].update(eta_min=1e-6)
param_scheduler = _base_.param_scheduler + [
    # By a ratio: what has no weight decay keeps none.
    dict(
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        T_max=300,
        eta_min_ratio=10.,
        begin=0,
        end=300,
        by_epoch=True,
        convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=2048)
