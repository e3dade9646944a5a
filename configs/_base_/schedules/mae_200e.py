"""MAE's schedule over 200 epochs, the length of HPM's and GPA's ablations."""
_base_ = './mae_800e.py'

max_epochs = 200
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=160, end=max_epochs)
