"""GPA as a teacher in CAE, ViT-S/16, at CAE's ratio of a half.

The teacher is a pre-trained MAE ViT-B, here the official 1600-epoch weights;
TEACHER names their file. 300 epochs are CAE's length; the paper's row, after
50, is cae_vits_gpa_50e.py. It does not say at which ratio.

Paper:    none at this length; Xi et al., ACM MM 2024, in Chen et al., IJCV
          2023.
Expected: not measured by this project.
Cost:     cae_vits_300e.py's and one pass of a ViT-B over all tokens; not
          measured by this project.
Command:  DATA_ROOT=/path/to/imagenet DALLE_ENCODER=dalle_encoder.pth \
              TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/cae/cae_vits_gpa_300e.py 8
"""
_base_ = './cae_vits_300e.py'

model = dict(
    teacher=dict(
        type='sbam_mm.FrozenTeacher',
        backbone=dict(
            type='sbam_mm.MaskedViT', arch='base', img_size=224,
            patch_size=16),
        checkpoint='{{$TEACHER:mae_pretrain_vit_base.pth}}'),
    masker=dict(
        type='sbam_mm.GPA', block=9, head=11, hard=(0., 0.5), soft=(0.5, 0.)))
