"""MAE's fine-tuning schedule: 100 epochs, AdamW, layer decay 0.65.

The learning rate is 5e-4 x batch / 256, and never falls below 1e-6, which
layer decay multiplies as well.
"""
_base_ = './adamw_bfloat16.py'

max_epochs = 100
warmup_epochs = 5
lr = 5e-4 * 1024 / 256

optim_wrapper = dict(
    optimizer=dict(lr=lr),
    constructor='sbam_mm.ViTLayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.65,
        # Norms and biases.
        flat_decay_mult=0.,
        custom_keys={
            name: dict(decay_mult=0.)
            for name in ('.cls_token', '.dist_token', '.pos_embed')
        }))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=warmup_epochs,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=max_epochs - warmup_epochs,
        by_epoch=True,
        begin=warmup_epochs,
        end=max_epochs,
        # A ratio: what layer decay made small stays smaller than the rest.
        eta_min_ratio=1e-6 / lr,
        convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=1024)
