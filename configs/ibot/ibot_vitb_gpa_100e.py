"""iBOT with GPA masks, ViT-B/16, 100 epochs.

16 GPUs x 64 images = 1024. GPA asks a trained MAE: TEACHER names its
checkpoint, e.g. the official mae_pretrain_vit_base.pth. The paper does not
say at which ratio GPA runs in iBOT; here at iBOT's mean, on half of the views.

Paper:    Xi et al., GPA, ACM MM 2024, Table 10, iBOT-B.
Expected: not measured by this project. The paper reports 47.3 % k-NN for
          iBOT and 48.4 % with GPA, at far smaller batches than iBOT's.
Cost:     not measured by this project; nine blocks of a ViT-B on the global
          crops more than iBOT.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              NNODES=2 \
              tools/dist_train.sh configs/ibot/ibot_vitb_gpa_100e.py 8
"""
_base_ = './ibot_vitb_100e.py'

model = dict(
    teacher=dict(
        type='sbam_mm.FrozenTeacher',
        backbone=dict(
            type='sbam_mm.MaskedViT', arch='base', img_size=224,
            patch_size=16),
        checkpoint='{{$TEACHER:mae_pretrain_vit_base.pth}}'),
    masker=dict(
        _delete_=True,
        type='sbam_mm.MaskSomeViews',
        probability=0.5,
        masker=dict(type='sbam_mm.GPA', ratio=0.3, block=9, head=11)))
