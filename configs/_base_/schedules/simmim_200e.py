"""SimMIM's schedule over 200 epochs: a cosine, the default of its code.

Its file for ViT-B has a step at 700 of 800 epochs, which 200 do not reach.
Warm-up and rates are the code's: 1e-4 x 2048 / 512, from 5e-7 and to 5e-6
times the same.
"""
_base_ = './mae_200e.py'

warmup_epochs = 10
optim_wrapper = dict(
    optimizer=dict(lr=1e-4 * 2048 / 512, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=5.0))
_base_.param_scheduler[0].update(start_factor=5e-7 / 1e-4, end=warmup_epochs)
_base_.param_scheduler[1].update(
    T_max=190, eta_min=5e-6 * 2048 / 512, begin=warmup_epochs)
auto_scale_lr = dict(base_batch_size=2048)
