"""Schedule of DINO and iBOT over 100 epochs, for 1024 images a step.

AdamW, 5e-4 x 1024 / 256, 10 warm-up epochs, cosine to 1e-6; weight decay 0.04
to 0.4 along a cosine; every gradient tensor clipped at 3; prototypes frozen
in the first epoch.
"""
_base_ = './runtime.py'

max_epochs = 100
warmup_epochs = 10

custom_hooks = _base_.custom_hooks + [
    dict(type='sbam_mm.ClipEachGradientHook', max_norm=3.0),
    dict(type='sbam_mm.FreezeLastLayerHook', epochs=1),
]

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    # bfloat16 has float32's range: nothing to scale.
    loss_scale=dict(enabled=False),
    optimizer=dict(
        type='AdamW',
        lr=5e-4 * 1024 / 256,
        betas=(0.9, 0.999),
        weight_decay=0.04),
    # Vectors are spared weight decay, and what the model names.
    constructor='sbam_mm.WeightDecayOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-9,
        begin=0,
        end=warmup_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - warmup_epochs,
        eta_min=1e-6,
        begin=warmup_epochs,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
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

train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
# Used with `tools/train.py --auto-scale-lr` only.
auto_scale_lr = dict(base_batch_size=1024)
