"""Small images with their segments: one id per patch beside each image.

    python tools/generate_segments.py $DATA_ROOT/train --size 32 \
        --option scale=100 min_share=0.04 --out data/segments.npy

makes them from 32 x 32 pixels; SEGMENTS names another file.
"""
_base_ = './small_images.py'

segments = '{{$SEGMENTS:data/segments.npy}}'
train_pipeline = [
    # It records where it cropped, so that the segments can follow.
    dict(
        type='sbam_mm.RandomResizedCrop',
        scale=32,
        crop_ratio_range=(0.2, 1.0),
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='sbam_mm.LoadSegments', path=segments, grid=8),
    dict(type='PackInputs', algorithm_keys=['segment_map']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
