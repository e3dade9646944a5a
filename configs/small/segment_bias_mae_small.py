"""MAE on small images, its attention guided by segments: the first phase.

SEGMENTS names the map file that

    python tools/generate_segments.py $DATA_ROOT/train --size 32 \
        --option scale=100 min_share=0.04 --out data/segments.npy

makes from 32 x 32 pixels.

Paper:    none; the method of Taguchi et al., BMVC 2024.
Expected: kNN 28.0 -> 40.2 %, u_pos +.48 in the first layer and -.59 in the
          last (10,000 CIFAR-10 images, 15 epochs, seed 0;
          docs/segment_bias.md).
Cost:     17 s per epoch of 10,000 images on one CPU core.
Command:  DATA_ROOT=data/cifar10 SEGMENTS=data/segments.npy .venv/bin/python \
              tools/train.py configs/small/segment_bias_mae_small.py
"""
_base_ = './mae_small.py'

model = dict(backbone=dict(segment_bias=dict(sharing='head_and_layer')))

segments = '{{$SEGMENTS:data/segments.npy}}'
crop, flip, _ = _base_.train_pipeline
train_pipeline = [
    # It records where it cropped, so that the segments can follow.
    dict(crop, type='sbam_mm.RandomResizedCrop'),
    flip,
    dict(type='sbam_mm.LoadSegments', path=segments, grid=8),
    dict(type='PackInputs', algorithm_keys=['segment_map']),
]
del crop, flip, _
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
