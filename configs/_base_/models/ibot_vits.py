"""iBOT with ViT-S/16 and 8192 prototypes that class and patches share."""
_base_ = './dino_vits.py'

model = dict(
    type='sbam_mm.iBOT',
    head=dict(out_dim=8192),
    masker=dict(
        type='sbam_mm.IBOTMasker', ratio=(0.1, 0.5), probability=0.5),
    patch_loss=_base_.model.cls_loss)
