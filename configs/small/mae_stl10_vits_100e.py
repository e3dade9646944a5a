"""MAE with a ViT-S on STL-10 for 100 epochs: a small study on a GPU.

Paper:    none; 96 x 96 images, ViT-S of 12 blocks with patches of 8.
Expected: not measured by this project.
Cost:     1,500 steps of 256 images; not measured by this project.
Command:  DATA_ROOT=data/stl10 .venv/bin/python tools/train.py \
              configs/small/mae_stl10_vits_100e.py
"""
_base_ = './mae_stl10_on_device_small.py'

model = dict(
    backbone=dict(
        arch=dict(
            embed_dims=384,
            num_layers=12,
            num_heads=6,
            feedforward_channels=1536)),
    neck=dict(
        embed_dim=384,
        decoder_embed_dim=192,
        decoder_depth=2,
        decoder_num_heads=6))

train_dataloader = dict(batch_size=256)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    optimizer=dict(lr=1.5e-3))
auto_scale_lr = dict(base_batch_size=256)

max_epochs = 100
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[0].update(end=10)
_base_.param_scheduler[1].update(begin=10, T_max=90, end=max_epochs)

# Fewer looks than over ten epochs.
_base_.custom_hooks[-2].update(interval=20)
_base_.custom_hooks[-1].update(interval=5)
