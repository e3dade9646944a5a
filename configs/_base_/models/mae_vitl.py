"""MAE with ViT-L/16: 24 blocks, 1024 wide; decoder 8 blocks, 512 wide."""
model = dict(
    type='sbam_mm.MAE',
    backbone=dict(
        type='sbam_mm.MaskedViT', arch='large', img_size=224, patch_size=16),
    masker=dict(type='sbam_mm.RandomMasker', ratio=0.75),
    neck=dict(
        type='sbam_mm.MAEDecoder',
        img_size=224,
        patch_size=16,
        embed_dim=1024,
        decoder_embed_dim=512,
        decoder_depth=8,
        decoder_num_heads=16),
    head=dict(
        type='sbam_mm.PixelHead',
        patch_size=16,
        norm_pix=True,
        reduction='token'))
