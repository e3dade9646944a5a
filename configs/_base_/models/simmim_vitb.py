"""SimMIM with ViT-B/16: shared relative positions, a linear decoder."""
model = dict(
    type='sbam_mm.SimMIM',
    backbone=dict(
        type='sbam_mm.MaskedBEiT',
        arch='base',
        img_size=224,
        patch_size=16,
        layer_scale_init_value=0.1,
        drop_path_rate=0.1),
    # Squares of 32 x 32 pixels: 30 of 49 are masked.
    masker=dict(
        type='sbam_mm.RandomMasker', ratio=0.6, rounding='floor', cell=2),
    neck=dict(type='sbam_mm.LinearDecoder', embed_dim=768, patch_size=16),
    head=dict(
        type='sbam_mm.PixelHead',
        patch_size=16,
        norm_pix=False,
        criterion='L1'))
