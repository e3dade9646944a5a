"""CAE's schedule over 300 epochs: AdamW, 1.5e-3 at 2048 images, 10 warm-up."""
_base_ = './mae_300e.py'

warmup_epochs = 10
optim_wrapper = dict(
    optimizer=dict(lr=1.5e-3, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=3.0))
_base_.param_scheduler[0].update(end=warmup_epochs)
_base_.param_scheduler[1].update(T_max=290, eta_min=1e-5, begin=warmup_epochs)
auto_scale_lr = dict(base_batch_size=2048)
