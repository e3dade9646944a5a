"""MAE's ViT-B on ImageNet for 200 epochs, with stored attention maps."""
_base_ = './attention_maps_imagenet.py'

max_epochs = 200
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(
    T_max=max_epochs - _base_.warmup_epochs, end=max_epochs)
train_cfg = dict(max_epochs=max_epochs)
