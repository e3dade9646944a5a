"""Mask R-CNN with ViTDet's backbone for the 1203 classes of LVIS v1.

Every class has a sigmoid of its own and background none; they begin at 0.01
(Lin et al., ICCV 2017, section 4.1; this project's choice), for at 0.5 a box
would cost 1203 log 2 = 834 at the first step. 300 boxes above a score of 0.02
are kept for each image.
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
