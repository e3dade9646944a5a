"""iBOT on small images, 256 prototypes."""
_base_ = './multi_crop_small.py'

model = dict(
    type='sbam_mm.iBOT',
    backbone=dict(learned_position=True),
    neck=None,
    head=dict(
        _delete_=True,
        type='sbam_mm.DINOHead',
        in_dim=96,
        out_dim=256,
        hidden_dim=256,
        bottleneck_dim=64),
    masker=dict(
        _delete_=True,
        type='sbam_mm.IBOTMasker',
        ratio=(0.1, 0.5),
        probability=0.5),
    # Few steps: a teacher that follows faster, no warm-up of temperatures.
    cls_loss=dict(teacher_temperature=0.04),
    patch_loss=dict(teacher_temperature=0.04),
    momentum=0.95,
    end_momentum=0.995)
