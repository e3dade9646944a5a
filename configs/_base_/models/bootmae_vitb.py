"""BootMAE with ViT-B/16: regressors of 2 blocks on blocks 0 and 11."""
size = dict(img_size=224, patch_size=16)
regressor = dict(
    type='sbam_mm.Regressor', embed_dim=768, decoder_depth=2, **size)

model = dict(
    type='sbam_mm.BootMAE',
    backbone=dict(type='sbam_mm.MaskedViT', arch='base', **size),
    masker=dict(type='sbam_mm.BootMAEMasker', ratio=0.75),
    neck=dict(decoder_embed_dim=512, decoder_num_heads=16, **regressor),
    head=dict(type='sbam_mm.ChannelPixelHead', patch_size=16),
    feature_regressor=dict(
        decoder_embed_dim=768,
        decoder_num_heads=12,
        predict_feature_dim=768,
        **regressor),
    target=dict(
        type='sbam_mm.MomentumTeacher',
        momentum=0.999,
        milestones=[(100, 0.9999), (400, 0.99999)]),
    memory=(0, -1),
    feature_weight=1.,
    ramp=0.25)
