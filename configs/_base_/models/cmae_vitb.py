"""CMAE with ViT-B/16: pixel decoder of 8 blocks, feature decoder of 2."""
size = dict(img_size=224, patch_size=16)
decoder = dict(
    type='sbam_mm.MAEDecoder',
    embed_dim=768,
    decoder_embed_dim=512,
    decoder_num_heads=16,
    **size)
# The two linear layers of projector and predictor; SyncBN is BatchNorm on
# one GPU.
mlp = dict(
    type='NonLinearNeck',
    hid_channels=1536,
    out_channels=256,
    with_bias=True,
    with_last_bn=False,
    with_last_bias=False,
    with_avg_pool=False,
    norm_cfg=dict(type='SyncBN', eps=1e-6))

model = dict(
    type='sbam_mm.CMAE',
    backbone=dict(type='sbam_mm.MaskedViT', arch='base', **size),
    masker=dict(type='sbam_mm.RandomMasker', ratio=0.65, cell=2),
    neck=dict(decoder_depth=8, **decoder),
    head=dict(type='sbam_mm.PixelHead', patch_size=16, norm_pix=True),
    feature_decoder=dict(
        decoder_depth=2, predict_feature_dim=768, **decoder),
    projector=dict(in_channels=768, **mlp),
    contrast=dict(
        type='sbam_mm.InfoNCEHead',
        temperature=0.07,
        predictor=dict(in_channels=256, **mlp)),
    target=dict(type='sbam_mm.MomentumTeacher', momentum=0.996),
    contrast_weight=1.,
    pixel_weight=1.)
