"""COCO 2017 for instance segmentation, 8 images per GPU.

Expects DATA_ROOT (default: data/coco) with train2017, val2017 and
annotations/instances_{train,val}2017.json.
"""
_base_ = './jitter_1024.py'

data_root = '{{$DATA_ROOT:data/coco}}'
dataset = dict(type='CocoDataset', data_root=data_root)
train_dataloader = dict(
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        # Images without boxes teach nothing here.
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=_base_.train_pipeline))
val_dataloader = dict(
    dataset=dict(
        **dataset,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    # Without it areas would be those of boxes.
    ann_file=data_root + '/annotations/instances_val2017.json',
    metric=['bbox', 'segm'])
test_evaluator = val_evaluator
