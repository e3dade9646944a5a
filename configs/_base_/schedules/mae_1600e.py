"""MAE's schedule over 1600 epochs."""
_base_ = './mae_800e.py'

max_epochs = 1600
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=1560, end=max_epochs)
