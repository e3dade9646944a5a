"""DINO on small images, its attention guided by segments: the first phase.

SEGMENTS names the map file of segment_bias_mae_small.py.

Paper:    none; the method of Taguchi et al., BMVC 2024.
Expected: trains, but minutes teach neither it nor the bias: kNN 24.7 -> 24.6 %
          and u below .02 (2,000 CIFAR-10 images, 6 epochs, seed 0).
Cost:     about a minute per epoch of 2,000 images on a busy CPU core.
Command:  DATA_ROOT=data/cifar10 SEGMENTS=data/segments.npy .venv/bin/python \
              tools/train.py configs/small/segment_bias_dino_small.py
"""
_base_ = './dino_small.py'

model = dict(backbone=dict(segment_bias=dict()))

segments = '{{$SEGMENTS:data/segments.npy}}'
train_pipeline = [
    dict(
        type='sbam_mm.MultiView',
        num_views=[2, 2],
        keys=['segment_map'],
        transforms=[
            [
                # It records where it cropped, so that the segments can follow.
                dict(crop, type='sbam_mm.RandomResizedCrop'),
                flip,
                dict(type='sbam_mm.LoadSegments', path=segments, grid=grid),
            ]
            for (crop, flip), grid in zip(
                _base_.train_pipeline[0]['transforms'], (8, 4))
        ]),
    dict(type='PackInputs', algorithm_keys=['segment_map']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
