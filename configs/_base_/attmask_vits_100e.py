"""AttMask in iBOT, ViT-S/16, 100 epochs: 240 images a step, as published."""
_base_ = [
    './multi_crop_224.py',
    './ibot_vits.py',
    './ibot_schedule_100e.py',
]

train_dataloader = dict(batch_size=60)
optim_wrapper = dict(optimizer=dict(lr=5e-4 * 240 / 256))
auto_scale_lr = dict(base_batch_size=240)
