"""UperNet on ADE20K at 512 x 512 for a ViT-B, 8 GPUs with 2 images each.

MAE's recipe (CVPR 2022, appendix A.4: BEiT's code, 100 epochs, 16 images) with
the values of mmsegmentation's config for MAE's ViT-B: AdamW 1e-4, layer decay
0.65, 1,500 steps of warm-up, then linear to 0. A config adds the backbone.

Expects DATA_ROOT (default: data/ade/ADEChallengeData2016) with
images/{training,validation} and annotations/{training,validation}, and
the pre-trained encoder in CHECKPOINT: a file of ours, of mmpretrain, or an
official one of MAE, DINO, iBOT, timm or Hugging Face.
"""
_base_ = './dense_runtime.py'
default_scope = 'mmseg'

classes = 150
crop = (512, 512)

# The data.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    # Indices from 0 to 149 after 0, which is "other", became 255.
    dict(type='sbam_mm.LoadLabelMap', num_classes=classes),
    dict(
        type='RandomResize',
        scale=(2048, 512),
        ratio_range=(0.5, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    # After the resize: predictions are compared at the original size.
    dict(type='sbam_mm.LoadLabelMap', num_classes=classes),
    dict(type='PackSegInputs'),
]
dataset = dict(
    type='ADE20KDataset',
    data_root='{{$DATA_ROOT:data/ade/ADEChallengeData2016}}')
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **dataset,
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        data_prefix=dict(
            img_path='images/validation',
            seg_map_path='annotations/validation'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

# The model.
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
        size=crop),
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
        num_classes=classes,
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
        num_classes=classes,
        norm_cfg=norm,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=crop, stride=(341, 341)))

# The schedule.
max_iters = 160000
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    # bfloat16 has float32's range: nothing to scale.
    loss_scale=dict(enabled=False),
    optimizer=dict(
        type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    constructor='sbam_mm.ViTLayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.65,
        # Norms, biases, layer scale, class token and positions.
        flat_decay_mult=0.,
        custom_keys=dict(
            cls_token=dict(decay_mult=0.), pos_embed=dict(decay_mult=0.))))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(
        type='PolyLR',
        eta_min=0.0,
        power=1.0,
        begin=1500,
        end=max_iters,
        by_epoch=False),
]
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(interval=16000, save_best='mIoU'))
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
auto_scale_lr = dict(base_batch_size=16)
