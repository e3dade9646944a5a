"""MILAN with ViT-B/16, 400 epochs: CLIP's masks and features.

CLIP names the weights of CLIP ViT-B/16, mmpretrain's clip_vit_base_16.pth.tar
(the address is in its MILAN config). The schedule is MAE's.

Paper:    Hou et al., MILAN: Masked Image Pretraining on Language Assisted
          Representation, 2022; compared in Xi et al., GPA, ACM MM 2024, Table
          6.
Expected: 83.3 % fine-tuning top-1 in GPA's table. Not measured by this
          project.
Cost:     MAE's over 400 epochs, and a pass of CLIP's ViT-B over all tokens;
          not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet CLIP=clip_vit_base_16.pth.tar \
              tools/dist_train.sh configs/baselines/milan_vitb_400e.py 8
"""
_base_ = './mae_vitb_400e.py'

model = dict(
    type='sbam_mm.MILAN',
    masker=dict(type='sbam_mm.MILANMasker'),
    neck=dict(type='sbam_mm.PromptDecoder', feature_dim=512),
    head=None,
    teacher=dict(
        type='sbam_mm.CLIPTeacher',
        checkpoint='{{$CLIP:data/clip_vit_base_16.pth.tar}}'))
