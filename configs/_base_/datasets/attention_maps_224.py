"""ImageNet-1K at 224 x 224 with the stored attention map of each image."""
_base_ = './imagenet_224.py'

train_pipeline = [
    # The crop says where it was made, so that the map can follow.
    *_base_.train_pipeline[:2],
    dict(type='sbam_mm.LoadAttentionMap', grid=(14, 14)),
    dict(type='PackInputs', algorithm_keys=['attention_map']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
