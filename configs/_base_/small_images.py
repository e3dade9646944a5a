"""Small images (32 x 32): a ViT that pre-trains on two CPU cores in minutes.

Expects DATA_ROOT (default: data/cifar10) with train/<class>/* and
test/<class>/*; images of other sizes are resized to 32 x 32.
"""
_base_ = './runtime.py'

data_root = '{{$DATA_ROOT:data/cifar10}}'
size = dict(img_size=32, patch_size=4)

model = dict(
    type='sbam_mm.MAE',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[125.3, 123.0, 113.9],
        std=[63.0, 62.1, 66.7],
        to_rgb=True),
    backbone=dict(
        type='sbam_mm.MaskedViT',
        arch=dict(
            embed_dims=96,
            num_layers=4,
            num_heads=3,
            feedforward_channels=384),
        **size),
    masker=dict(type='sbam_mm.RandomMasker', ratio=0.75),
    neck=dict(
        type='sbam_mm.MAEDecoder',
        embed_dim=96,
        decoder_embed_dim=48,
        decoder_depth=1,
        decoder_num_heads=3,
        **size),
    head=dict(type='sbam_mm.PixelHead', patch_size=4, norm_pix=True))

# ImageFolder decodes, so the pipeline begins with the crop.
train_pipeline = [
    dict(
        type='RandomResizedCrop',
        scale=32,
        crop_ratio_range=(0.2, 1.0),
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]
train_dataset = dict(
    type='sbam_mm.ImageFolder',
    data_root=data_root,
    data_prefix='train',
    cache=True,
    pipeline=train_pipeline)
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=train_dataset)

plain_pipeline = [
    dict(type='Resize', scale=(32, 32), interpolation='bicubic'),
    dict(type='PackInputs'),
]
knn_bank = dict(
    type='sbam_mm.ImageFolder',
    data_root=data_root,
    data_prefix='train',
    pipeline=plain_pipeline)
knn_query = dict(
    type='sbam_mm.ImageFolder',
    data_root=data_root,
    data_prefix='test',
    pipeline=plain_pipeline)

# Minutes long: the last checkpoints will do.
default_hooks = dict(checkpoint=dict(milestones=None))
custom_hooks = _base_.custom_hooks + [
    # A small bank and few queries: a curve to look at, not the final number.
    dict(
        type='sbam_mm.KNNHook',
        bank=knn_bank,
        query=knn_query,
        at_start=True,
        num_train=5000,
        num_test=1000),
]

max_epochs = 4
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05),
    # Vectors are spared weight decay, and what the model names.
    constructor='sbam_mm.WeightDecayOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0., bias_decay_mult=0.))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-2,
        begin=0,
        end=0.1 * max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=0.9 * max_epochs,
        eta_min=0.,
        begin=0.1 * max_epochs,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
auto_scale_lr = dict(base_batch_size=64)
