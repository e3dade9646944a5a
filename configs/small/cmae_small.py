"""CMAE on small images: 32 x 32 pixels cut out of crops of 36.

Paper:    none; the method of Huang et al., 2022. The target view is shifted
          by up to 4 pixels, as much of the image as 31 of 256.
Expected: not measured by this project.
Cost:     not measured by this project.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/cmae_small.py
"""
_base_ = './mae_small.py'

size = dict(img_size=32, patch_size=4)
decoder = dict(
    type='sbam_mm.MAEDecoder',
    embed_dim=96,
    decoder_embed_dim=48,
    decoder_depth=1,
    decoder_num_heads=3,
    **size)
mlp = dict(
    type='NonLinearNeck',
    hid_channels=192,
    out_channels=48,
    with_bias=True,
    with_last_bn=False,
    with_avg_pool=False,
    norm_cfg=dict(type='SyncBN', eps=1e-6))

model = dict(
    type='sbam_mm.CMAE',
    masker=dict(ratio=0.65, cell=2),
    feature_decoder=dict(predict_feature_dim=96, **decoder),
    projector=dict(in_channels=96, **mlp),
    contrast=dict(
        type='sbam_mm.InfoNCEHead',
        temperature=0.07,
        predictor=dict(in_channels=48, **mlp)),
    target=dict(type='sbam_mm.MomentumTeacher', momentum=0.996))

crop, flip, pack = _base_.train_pipeline
train_pipeline = [
    dict(crop, type='sbam_mm.RandomResizedCrop', scale=36),
    flip,
    dict(
        type='sbam_mm.PixelShift',
        size=32,
        max_shift=4,
        target=[
            dict(
                type='RandomApply',
                transforms=[
                    dict(
                        type='ColorJitter', brightness=0.4, contrast=0.4,
                        saturation=0.4, hue=0.1)
                ],
                prob=0.8),
            dict(
                type='RandomGrayscale', prob=0.2, keep_channels=True,
                channel_weights=(0.114, 0.587, 0.2989)),
        ]),
    pack,
]
del crop, flip, pack
train_dataloader = dict(
    drop_last=True, dataset=dict(pipeline=train_pipeline))
