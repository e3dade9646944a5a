"""MAE's schedule over 400 epochs, the released SBAM command's length."""
_base_ = './mae_800e.py'

max_epochs = 400
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=360, end=max_epochs)
