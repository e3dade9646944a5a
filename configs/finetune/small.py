"""Fine-tune the small ViT of configs/small on 32 x 32 images, on a CPU.

Paper:    none; MAE's recipe with a milder layer decay, no drop path and ten
          epochs.
Expected: not measured by this project.
Cost:     7 s per epoch of 2000 images on two busy CPU cores.
Command:  PRETRAINED=work_dirs/sbam_small/epoch_4.pth DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/finetune/small.py
"""
_base_ = './vitb_100e.py'

data_root = '{{$DATA_ROOT:data/cifar10}}'
num_classes = 10
data_preprocessor = dict(
    num_classes=num_classes,
    mean=[125.3, 123.0, 113.9],
    std=[63.0, 62.1, 66.7])
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=96,
            num_layers=4,
            num_heads=3,
            feedforward_channels=384),
        img_size=32,
        patch_size=4,
        drop_path_rate=0.),
    head=dict(num_classes=num_classes, in_channels=96))

train_pipeline = _base_.train_pipeline
train_pipeline[0].scale = 32
test_pipeline = [
    dict(type='Resize', scale=(32, 32), interpolation='bicubic'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    dataset=dict(
        data_root=data_root, cache=True, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=256,
    num_workers=1,
    dataset=dict(
        data_root=data_root, data_prefix='test', pipeline=test_pipeline))
test_dataloader = val_dataloader

max_epochs = 10
warmup_epochs = 1
lr = 1e-3
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(_base_.optim_wrapper.optimizer, lr=lr),
    constructor=_base_.optim_wrapper.constructor,
    paramwise_cfg=dict(
        _base_.optim_wrapper.paramwise_cfg, layer_decay_rate=0.8))
_base_.param_scheduler[0].update(end=warmup_epochs)
_base_.param_scheduler[1].update(
    T_max=max_epochs - warmup_epochs,
    begin=warmup_epochs,
    end=max_epochs,
    eta_min_ratio=1e-6 / lr)
train_cfg = dict(max_epochs=max_epochs)
auto_scale_lr = dict(base_batch_size=128)
