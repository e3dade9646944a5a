"""ImageNet-100 at 224 x 224 with segments, for patches of 16 pixels.

    python tools/generate_segments.py $DATA_ROOT/train --classes imagenet100 \
        --backend sam --out data/segments.npy

makes them (SAM with ViT-H; `--shard` for several GPUs); SEGMENTS names another
file. Expects DATA_ROOT (default: data/imagenet) with train/<class>/*.JPEG of
ImageNet-1K, or of its 100 classes alone. Patches of 8 pixels: grid=28.
"""
_base_ = './imagenet_224.py'

segments = '{{$SEGMENTS:data/segments.npy}}'
train_pipeline = [
    # The crop says where it was made, so that the segments can follow.
    *_base_.train_pipeline[:2],
    dict(type='sbam_mm.LoadSegments', path=segments, grid=14),
    dict(type='PackInputs', algorithm_keys=['segment_map']),
]
train_dataloader = dict(
    dataset=dict(classes='imagenet100', pipeline=train_pipeline))
