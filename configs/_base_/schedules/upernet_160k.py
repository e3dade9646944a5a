"""MAE's schedule for UperNet: 160,000 steps of 16 images.

With the values of mmsegmentation's config for MAE's ViT-B: AdamW 1e-4, layer
decay 0.65, 1,500 steps of warm-up, then linear to 0.
"""
_base_ = './adamw_bfloat16.py'

max_iters = 160000
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    constructor='sbam_mm.ViTLayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.65,
        # Norms, biases, layer scale, class token and positions.
        flat_decay_mult=0.,
        custom_keys=dict(
            cls_token=dict(decay_mult=0.), pos_embed=dict(decay_mult=0.))))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(
        type='PolyLR',
        eta_min=0.0,
        power=1.0,
        begin=1500,
        end=max_iters,
        by_epoch=False),
]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(base_batch_size=16)
