"""LVIS v1, 8 images per GPU; rare classes are drawn more often.

Expects DATA_ROOT (default: data/lvis_v1) with train2017, val2017 and
annotations/lvis_v1_{train,val}.json, and the package `lvis`
(docs/transfer.md). The threshold of the repetition is 0.001.
"""
_base_ = './jitter_1024.py'

data_root = '{{$DATA_ROOT:data/lvis_v1}}'
dataset = dict(
    type='LVISV1Dataset', data_root=data_root, data_prefix=dict(img=''))
train_dataloader = dict(
    dataset=dict(
        type='ClassBalancedDataset',
        oversample_thr=1e-3,
        dataset=dict(
            **dataset,
            ann_file='annotations/lvis_v1_train.json',
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=_base_.train_pipeline)))
val_dataloader = dict(
    dataset=dict(
        **dataset,
        ann_file='annotations/lvis_v1_val.json',
        test_mode=True,
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='LVISMetric',
    ann_file=data_root + '/annotations/lvis_v1_val.json',
    metric=['bbox', 'segm'])
test_evaluator = val_evaluator
