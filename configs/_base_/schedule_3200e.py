"""MAE's schedule over 3200 epochs."""
_base_ = './schedule_800e.py'

max_epochs = 3200
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(
    T_max=max_epochs - _base_.warmup_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs)
