"""data2vec 2.0 with ViT-B/16: 16 masks, targets of the last 10 blocks."""
size = dict(img_size=224, patch_size=16)

model = dict(
    type='sbam_mm.Data2Vec2',
    backbone=dict(type='sbam_mm.MaskedViT', arch='base', **size),
    masker=dict(
        type='sbam_mm.InverseBlockMasker', ratio=0.8, size=3, adjust=0.07),
    neck=dict(
        type='sbam_mm.ConvDecoder',
        embed_dim=768,
        decoder_embed_dim=768,
        decoder_depth=6,
        kernel_size=3,
        groups=16,
        noise=0.01,
        **size),
    target=dict(
        type='sbam_mm.MomentumTeacher',
        momentum=0.9998,
        end_momentum=0.99999,
        shape='linear',
        ramp_epochs=20),
    num_masks=16,
    top_k=10,
    # 0.01 of a sum over the 16 x 16 masked images of a GPU.
    cls_weight=2.56)
