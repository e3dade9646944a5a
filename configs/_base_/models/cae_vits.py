"""CAE with ViT-S/16: 12 blocks, 384 wide; 4 regressor and 4 decoder blocks.

DALLE_ENCODER names the weights of DALL-E's tokenizer (mmpretrain's
dalle_encoder.pth).
"""
model = dict(
    type='sbam_mm.CAE',
    backbone=dict(
        type='sbam_mm.MaskedViT',
        # The official small model has 12 heads.
        arch=dict(
            embed_dims=384,
            num_layers=12,
            num_heads=12,
            feedforward_channels=1536),
        img_size=224,
        patch_size=16,
        layer_cfgs=dict(layer_scale_init_value=0.1)),
    masker=dict(type='sbam_mm.BlockMasker', ratio=0.5),
    neck=dict(
        type='sbam_mm.ContextRegressor',
        embed_dims=384,
        num_heads=12,
        regressor_depth=4,
        decoder_depth=4,
        out_dims=8192,
        layer_scale_init_value=0.1),
    head=dict(
        type='sbam_mm.DalleHead',
        checkpoint='{{$DALLE_ENCODER:data/dalle_encoder.pth}}'),
    align_weight=2.)
