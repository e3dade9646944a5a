"""MAE with a ViT for 96 x 96 images: 4 blocks, 192 wide, patches of 8."""
size = dict(img_size=96, patch_size=8)

model = dict(
    type='sbam_mm.MAE',
    data_preprocessor=dict(
        type='SelfSupDataPreprocessor',
        mean=[114.1, 112.3, 103.9],
        std=[66.3, 65.5, 69.0],
        to_rgb=True),
    backbone=dict(
        type='sbam_mm.MaskedViT',
        arch=dict(
            embed_dims=192,
            num_layers=4,
            num_heads=3,
            feedforward_channels=768),
        **size),
    masker=dict(type='sbam_mm.RandomMasker', ratio=0.75),
    neck=dict(
        type='sbam_mm.MAEDecoder',
        embed_dim=192,
        decoder_embed_dim=96,
        decoder_depth=1,
        decoder_num_heads=3,
        **size),
    head=dict(type='sbam_mm.PixelHead', patch_size=8, norm_pix=True))
