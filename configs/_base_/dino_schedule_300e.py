"""Schedule of DINO over 300 epochs, for 1024 images a step."""
_base_ = './ibot_schedule_100e.py'

max_epochs = 300
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(
    T_max=max_epochs - _base_.warmup_epochs, end=max_epochs)
param_scheduler[2].update(T_max=max_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs)
