"""Mask R-CNN with ViTDet on LVIS v1, 8 GPUs with 8 images each, 100 epochs.

Classes are told apart by sigmoids, rare ones are drawn more often (threshold
0.001), and 300 boxes above a score of 0.02 are kept for each image.

Expects DATA_ROOT (default: data/lvis_v1) with train2017, val2017 and
annotations/lvis_v1_{train,val}.json, and the package `lvis`
(docs/transfer.md).
"""
_base_ = './mask_rcnn_vitdet.py'

classes = 1203
model = dict(
    roi_head=dict(
        bbox_head=dict(
            num_classes=classes, loss_cls=dict(use_sigmoid=True)),
        mask_head=dict(num_classes=classes)),
    test_cfg=dict(rcnn=dict(score_thr=0.02, max_per_img=300)))

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
            pipeline={{_base_.train_pipeline}})))
val_dataloader = dict(
    dataset=dict(
        **dataset,
        ann_file='annotations/lvis_v1_val.json',
        test_mode=True,
        pipeline={{_base_.test_pipeline}}))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='LVISMetric',
    ann_file=data_root + '/annotations/lvis_v1_val.json',
    metric=['bbox', 'segm'])
test_evaluator = val_evaluator

# 100,000 images a hundred times, 64 at a time.
max_iters = 156250
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0,
        end=250),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[138889, 150463],
        gamma=0.1),
]
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
