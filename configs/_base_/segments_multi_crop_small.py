"""Small images in 2 global and 2 local crops, each with its own segments.

The file of segments is that of ``segments_small.py``.
"""
_base_ = './multi_crop_small.py'

segments = '{{$SEGMENTS:data/segments.npy}}'
train_pipeline = [
    dict(
        type='sbam_mm.MultiView',
        num_views=[2, 2],
        keys=['segment_map'],
        transforms=[
            [
                dict(
                    type='sbam_mm.RandomResizedCrop',
                    scale=32,
                    crop_ratio_range=(0.4, 1.0),
                    interpolation='bicubic'),
                *_base_.views,
                dict(type='sbam_mm.LoadSegments', path=segments, grid=8),
            ],
            [
                dict(
                    type='sbam_mm.RandomResizedCrop',
                    scale=16,
                    crop_ratio_range=(0.15, 0.4),
                    interpolation='bicubic'),
                *_base_.views,
                dict(type='sbam_mm.LoadSegments', path=segments, grid=4),
            ],
        ]),
    dict(type='PackInputs', algorithm_keys=['segment_map']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
