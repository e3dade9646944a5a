"""Schedule of DINO and iBOT over 100 epochs, for 1024 images a step.

AdamW, 5e-4 x 1024 / 256, 10 warm-up epochs, cosine to 1e-6; weight decay 0.04
to 0.4 along a cosine; every gradient tensor clipped at 3; prototypes frozen
in the first epoch.
"""
_base_ = ['../default_runtime.py', './mae_800e.py']

max_epochs = 100
warmup_epochs = 10

custom_hooks = _base_.custom_hooks + [
    dict(type='sbam_mm.ClipEachGradientHook', max_norm=3.0),
    dict(type='sbam_mm.FreezeLastLayerHook', epochs=1),
]

optim_wrapper = dict(
    optimizer=dict(
        lr=5e-4 * 1024 / 256, betas=(0.9, 0.999), weight_decay=0.04))
_base_.param_scheduler[0].update(end=warmup_epochs)
_base_.param_scheduler[1].update(
    T_max=max_epochs - warmup_epochs,
    eta_min=1e-6,
    begin=warmup_epochs,
    end=max_epochs)
param_scheduler = _base_.param_scheduler + [
    # By a ratio: what has no weight decay keeps none.
    dict(
        type='CosineAnnealingParamScheduler',
        param_name='weight_decay',
        T_max=max_epochs,
        eta_min_ratio=10.,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
auto_scale_lr = dict(base_batch_size=1024)
