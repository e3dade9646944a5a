"""MAE's schedule over 300 epochs, CMAE's shortest."""
_base_ = './mae_800e.py'

max_epochs = 300
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=260, end=max_epochs)
