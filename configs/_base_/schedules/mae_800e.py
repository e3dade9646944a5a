"""MAE's schedule: AdamW, 1.5e-4 x 4096 / 256, 40 warm-up epochs, cosine."""
_base_ = './adamw_bfloat16.py'

max_epochs = 800
warmup_epochs = 40

optim_wrapper = dict(
    optimizer=dict(lr=1.5e-4 * 4096 / 256, betas=(0.9, 0.95)),
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
        eta_min=0.,
        begin=warmup_epochs,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
# Used with `tools/train.py --auto-scale-lr` only.
auto_scale_lr = dict(base_batch_size=4096)
