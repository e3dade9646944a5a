"""MAE's schedule over 3200 epochs."""
_base_ = './mae_800e.py'

max_epochs = 3200
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=3160, end=max_epochs)
