"""GPA as a teacher in ConvMAE-Small, 200 epochs.

The teacher is a pre-trained MAE ViT-B, here the official 1600-epoch weights;
TEACHER names their file. The paper does not give ConvMAE-S: its sizes are
those of the ConvMAE authors' FastConvMAE.

Paper:    Xi et al., GPA, ACM MM 2024, Table 10, ConvMAE-S.
Expected: 82.4 % fine-tuning top-1 in the paper (80.0 without GPA). Not
          measured by this project.
Cost:     not stated in the paper for ConvMAE; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/convmae/convmae_small_gpa_200e.py 8
"""
_base_ = './convmae_small_200e.py'

model = dict(
    teacher=dict(
        type='sbam_mm.FrozenTeacher',
        backbone=dict(
            type='sbam_mm.MaskedViT', arch='base', img_size=224,
            patch_size=16),
        checkpoint='{{$TEACHER:mae_pretrain_vit_base.pth}}'),
    masker=dict(
        type='sbam_mm.GPA', block=9, head=11, hard=(0., 0.5), soft=(0.5, 0.)))
