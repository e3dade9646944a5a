"""Schedule of DINO over 600 epochs, for 1024 images a step."""
_base_ = './ibot_100e.py'

max_epochs = 600
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=590, end=max_epochs)
_base_.param_scheduler[2].update(T_max=max_epochs, end=max_epochs)
