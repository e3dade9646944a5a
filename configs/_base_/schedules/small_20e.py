"""The schedule of small_4e.py over twenty epochs."""
_base_ = './small_4e.py'

max_epochs = 20
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[0].update(end=0.1 * max_epochs)
_base_.param_scheduler[1].update(
    begin=0.1 * max_epochs, T_max=0.9 * max_epochs, end=max_epochs)
