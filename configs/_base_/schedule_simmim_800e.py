"""SimMIM's schedule for ViT-B: AdamW, 1e-4 x 2048 / 512, a step at 700."""
max_epochs = 800
warmup_epochs = 10

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    # bfloat16 has float32's range: nothing to scale.
    loss_scale=dict(enabled=False),
    optimizer=dict(
        type='AdamW',
        lr=1e-4 * 2048 / 512,
        betas=(0.9, 0.999),
        weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
    # Vectors are spared weight decay, and what the model names.
    constructor='sbam_mm.WeightDecayOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=5e-7 / 1e-4,
        begin=0,
        end=warmup_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
    # Milestones count from `begin`, so it is 0.
    dict(
        type='MultiStepLR',
        milestones=[700],
        gamma=0.1,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]

train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
# Used with `tools/train.py --auto-scale-lr` only.
auto_scale_lr = dict(base_batch_size=2048)
