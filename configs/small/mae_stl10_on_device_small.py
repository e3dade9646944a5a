"""The images of `mae_stl10_small.py` stay on the training device.

They are cropped there: boxes and flips are of the distribution of
`mae_stl10_small.py`, but other random numbers. Maskers that want a stored map
of every image (AMT, SemMAE) need that config.

Paper:    none; the model of `mae_stl10_small.py`.
Expected: 37.8 ± 1.4 % kNN (k = 20, mean patch token) and 38.9 ± 1.2 %
          linear top-1 over three seeds, see docs/results.md.
Cost:     three to five minutes on one CPU core.
Command:  DATA_ROOT=data/stl10 .venv/bin/python tools/train.py \
              configs/small/mae_stl10_on_device_small.py
"""
_base_ = './mae_stl10_small.py'

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
            data_root=_base_.data_root + '/images',
            data_prefix='train'),
        scale=96,
        crop_ratio_range=(0.2, 1.0)))
