"""ImageNet-100 as DINO crops it, 2 global and 10 local views with segments.

For patches of 16 pixels (14 x 14 and 6 x 6); those of 8 have grids of 28 and
12. The file of segments is that of ``segments_224.py``.
"""
_base_ = './multi_crop_224.py'

segments = '{{$SEGMENTS:data/segments.npy}}'
global_crop = dict(_base_.global_crop, type='sbam_mm.RandomResizedCrop')
local_crop = dict(_base_.local_crop, type='sbam_mm.RandomResizedCrop')
global_map = dict(type='sbam_mm.LoadSegments', path=segments, grid=14)
local_map = dict(type='sbam_mm.LoadSegments', path=segments, grid=6)

train_pipeline = [
    dict(
        type='sbam_mm.MultiView',
        num_views=[1, 1, 10],
        keys=['segment_map'],
        transforms=[
            [
                global_crop, *_base_.colour,
                dict(_base_.blur, prob=1.0), global_map
            ],
            [
                global_crop, *_base_.colour,
                dict(_base_.blur, prob=0.1),
                dict(type='Solarize', thr=128, prob=0.2), global_map
            ],
            [
                local_crop, *_base_.colour,
                dict(_base_.blur, prob=0.5), local_map
            ],
        ]),
    dict(type='PackInputs', algorithm_keys=['segment_map']),
]
train_dataloader = dict(
    dataset=dict(classes='imagenet100', pipeline=train_pipeline))
