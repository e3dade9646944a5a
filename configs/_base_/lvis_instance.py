"""Mask R-CNN with ViTDet on LVIS v1, 8 GPUs with 8 images each, 100 epochs.

Every class has a sigmoid of its own and background none; they begin at 0.01
(Lin et al., ICCV 2017, section 4.1; this project's choice), for at 0.5 a box
would cost 1203 log 2 = 834 at the first step. Rare classes are drawn more
often (threshold 0.001), and 300 boxes above a score of 0.02 are kept for each
image.

Expects DATA_ROOT (default: data/lvis_v1) with train2017, val2017 and
annotations/lvis_v1_{train,val}.json, and the package `lvis`
(docs/transfer.md).
"""
_base_ = './mask_rcnn_vitdet.py'

classes = 1203
model = dict(
    roi_head=dict(
        bbox_head=dict(
            num_classes=classes,
            # mmdet's CrossEntropyLoss would score with a softmax.
            loss_cls=dict(
                _delete_=True,
                type='CrossEntropyCustomLoss',
                use_sigmoid=True,
                num_classes=classes,
                loss_weight=1.0),
            # mmdet's own but for bias_prob.
            init_cfg=[
                dict(
                    type='Normal',
                    std=0.01,
                    bias_prob=0.01,
                    override=dict(name='fc_cls')),
                dict(
                    type='Normal', std=0.001, override=dict(name='fc_reg')),
                dict(
                    type='Xavier',
                    distribution='uniform',
                    override=dict(name='shared_fcs')),
            ]),
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
