"""DINO with ViT-S/16: 12 blocks, 384 wide; 65,536 prototypes."""
model = dict(
    type='sbam_mm.DINO',
    backbone=dict(
        type='sbam_mm.MaskedViT',
        arch='small',
        img_size=224,
        patch_size=16,
        learned_position=True,
        drop_path_rate=0.1),
    head=dict(
        type='sbam_mm.DINOHead',
        in_dim=384,
        out_dim=65536,
        norm_last_layer=False),
    cls_loss=dict(
        warm_up_temperature=0.04, teacher_temperature=0.07,
        warm_up_epochs=30),
    momentum=0.996,
    end_momentum=1.)
