"""AdamW, 1e-3, ten epochs of batches of 32: of little data many steps."""
_base_ = './small_4e.py'

max_epochs = 10
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_epochs=max_epochs)
auto_scale_lr = dict(base_batch_size=32)
_base_.param_scheduler[0].update(end=0.1 * max_epochs)
_base_.param_scheduler[1].update(
    begin=0.1 * max_epochs, T_max=0.9 * max_epochs, end=max_epochs)
