"""CAE's schedule over 300 epochs: AdamW, 1.5e-3 at 2048 images, 10 warm-up."""
_base_ = './schedule_800e.py'

max_epochs = 300
warmup_epochs = 10
optim_wrapper = dict(
    optimizer=dict(lr=1.5e-3, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=3.0))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warmup_epochs)
param_scheduler[1].update(
    T_max=max_epochs - warmup_epochs,
    eta_min=1e-5,
    begin=warmup_epochs,
    end=max_epochs)
train_cfg = dict(max_epochs=max_epochs)
auto_scale_lr = dict(base_batch_size=2048)
