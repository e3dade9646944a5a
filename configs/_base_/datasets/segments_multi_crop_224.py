"""ImageNet-100 as DINO crops it, 2 global and 10 local views with segments.

For patches of 16 pixels (14 x 14 and 6 x 6); those of 8 have grids of 28 and
12. The file of segments is that of ``segments_224.py``.
"""
_base_ = './multi_crop_224.py'

segments = '{{$SEGMENTS:data/segments.npy}}'
# They record where they cropped, so that the segments can follow.
global_crop = dict(_base_.global_crop, type='sbam_mm.RandomResizedCrop')
local_crop = dict(_base_.local_crop, type='sbam_mm.RandomResizedCrop')
global_map = dict(type='sbam_mm.LoadSegments', path=segments, grid=14)
local_map = dict(global_map, grid=6)

first, second, local = (
    rest for _, *rest in _base_.train_pipeline[0]['transforms'])
train_pipeline = [
    dict(
        type='sbam_mm.MultiView',
        num_views=[1, 1, 10],
        keys=['segment_map'],
        transforms=[
            [global_crop, *first, global_map],
            [global_crop, *second, global_map],
            [local_crop, *local, local_map],
        ]),
    dict(type='PackInputs', algorithm_keys=['segment_map']),
]
del first, second, local
train_dataloader = dict(
    dataset=dict(classes='imagenet100', pipeline=train_pipeline))
