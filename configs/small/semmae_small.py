"""SemMAE's part-wise masks on small images, given maps of their parts.

PART_MAPS names a file with the parts of every training image, uint8 labels as
sbam_mm.datasets.save_maps writes them; SemMAE's own parts were never
released.

Paper:    none; the method of Li et al., NeurIPS 2022, with other parts.
Expected: not measured by this project.
Cost:     not measured by this project; that of MAE and reading the maps.
Command:  DATA_ROOT=data/cifar10 PART_MAPS=data/part_maps.npy \
              .venv/bin/python tools/train.py configs/small/semmae_small.py
"""
_base_ = './mae_small.py'

model = dict(
    masker=dict(
        _delete_=True, type='sbam_mm.SemMAEMasker', ratio=0.75, power=2.))

# With a crop that says where it was made, so that the parts can follow.
train_pipeline = [
    dict(
        type='sbam_mm.RandomResizedCrop',
        scale=32,
        crop_ratio_range=(0.2, 1.0),
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='sbam_mm.LoadPartMap',
        path='{{$PART_MAPS:data/part_maps.npy}}',
        grid=(8, 8)),
    dict(type='PackInputs', algorithm_keys=['part_map']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
