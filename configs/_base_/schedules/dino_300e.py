"""Schedule of DINO over 300 epochs, for 1024 images a step."""
_base_ = './ibot_100e.py'

max_epochs = 300
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=290, end=max_epochs)
_base_.param_scheduler[2].update(T_max=max_epochs, end=max_epochs)
