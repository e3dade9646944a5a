"""I-JEPA with ViT-H/14 and a predictor of 12 blocks, 384 wide."""
size = dict(img_size=224, patch_size=14)

model = dict(
    type='sbam_mm.IJEPA',
    backbone=dict(type='sbam_mm.MaskedViT', arch='huge', **size),
    masker=dict(
        type='sbam_mm.IJEPAMasker',
        targets=4,
        target_scale=(0.15, 0.2),
        target_aspect=(0.75, 1.5),
        context_scale=(0.85, 1.0)),
    neck=dict(
        type='sbam_mm.JEPAPredictor',
        embed_dim=1280,
        decoder_embed_dim=384,
        decoder_depth=12,
        decoder_num_heads=16,
        **size),
    momentum=0.996,
    end_momentum=1.)
