"""The images of `mae_small_10e.py` stay on the training device.

They are cropped there: boxes and flips are of the distribution of
`mae_small_10e.py`, but other random numbers. Maskers that want a stored map of
every image (AMT, SemMAE) need that config.

Paper:    none; the model of `mae_small_10e.py`.
Expected: not measured by this project.
Cost:     10,000 images of 32 x 32; three to five minutes on one CPU core.
Command:  DATA_ROOT=data/cifar10_1000_500 .venv/bin/python tools/train.py \
              configs/small/mae_on_device_small_10e.py
"""
_base_ = './mae_small_10e.py'

train_dataloader = dict(
    _delete_=True,
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='sbam_mm.whole_batch'),
    dataset=dict(
        type='sbam_mm.ImagesOnDevice',
        images=dict(
            type='sbam_mm.ImageFolder',
            data_root=_base_.data_root,
            data_prefix='train'),
        scale=32,
        crop_ratio_range=(0.2, 1.0)))
