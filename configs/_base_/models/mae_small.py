"""MAE with a ViT for 32 x 32 images: 4 blocks, 96 wide, patches of 4."""
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
