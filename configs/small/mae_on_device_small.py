"""MAE on small images that stay on the training device and are cropped there.

Images have to be of one size. Boxes and flips are of the distribution of
`mae_small.py`, but other random numbers.

Paper:    none; the model of `mae_small.py`.
Expected: not measured by this project over these epochs.
Cost:     not measured by this project; docs/benchmarks/small_images.md has the
          images per second of the input alone.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/mae_on_device_small.py
"""
_base_ = './mae_small.py'

train_dataloader = dict(
    _delete_=True,
    batch_size=64,
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
