"""UperNet for a ViT-B on ADE20K, at 512 x 512. A config names the backbone.

MAE's recipe (CVPR 2022, appendix A.4: BEiT's code).

Expects the pre-trained encoder in CHECKPOINT: a file of ours, of mmpretrain,
or an official one of MAE, DINO, iBOT, timm or Hugging Face.
"""
width = 768
norm = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512)),
    backbone=dict(
        arch='base',
        img_size=512,
        out_indices=[3, 5, 7, 11],
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$CHECKPOINT:work_dirs/encoder.pth}}')),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=width,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=norm),
    decode_head=dict(
        type='UPerHead',
        in_channels=[width] * 4,
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=width,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=width,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
