"""iBOT with ViT-S/16 and 8192 prototypes that class and patches share."""
model = dict(
    type='sbam_mm.iBOT',
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
        out_dim=8192,
        norm_last_layer=False),
    masker=dict(
        type='sbam_mm.IBOTMasker', ratio=(0.1, 0.5), probability=0.5),
    cls_loss=dict(
        warm_up_temperature=0.04, teacher_temperature=0.07,
        warm_up_epochs=30),
    patch_loss=dict(
        warm_up_temperature=0.04, teacher_temperature=0.07,
        warm_up_epochs=30),
    momentum=0.996,
    end_momentum=1.)
