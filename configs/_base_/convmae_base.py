"""ConvMAE-Base: 256, 384 and 768 channels; decoder 8 blocks, 512 wide."""
model = dict(
    type='sbam_mm.ConvMAE',
    backbone=dict(
        type='sbam_mm.ConvViT',
        arch='base',
        img_size=224,
        patch_sizes=(4, 2, 2),
        look_at='stage3'),
    masker=dict(type='sbam_mm.RandomMasker', ratio=0.75),
    neck=dict(
        type='sbam_mm.MAEDecoder',
        img_size=224,
        patch_size=16,
        embed_dim=768,
        decoder_embed_dim=512,
        decoder_depth=8,
        decoder_num_heads=16),
    head=dict(
        type='sbam_mm.PixelHead',
        patch_size=16,
        norm_pix=True,
        reduction='token'))
