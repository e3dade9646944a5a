"""AdamW in bfloat16, which every schedule but that of small images has."""
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    # bfloat16 has float32's range: nothing to scale.
    loss_scale=dict(enabled=False),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.05))
