"""GPA as a teacher in ConvMAE-Small, 200 epochs.

The teacher is a pre-trained MAE ViT-B, here the official 1600-epoch weights;
TEACHER names their file. The paper does not give ConvMAE-S: its sizes are
those of the ConvMAE authors' FastConvMAE. Without GPA:
``model.masker=dict(type='sbam_mm.RandomMasker')`` and no teacher.

Paper:    Xi et al., Global Patch-wise Attention is Masterful Facilitator for
          Masked Image Modeling, ACM MM 2024, Table 10, ConvMAE-S.
Expected: 82.4 % fine-tuning top-1 in the paper (80.0 without GPA). Not
          measured by this project.
Cost:     not stated in the paper for ConvMAE; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/convmae/convmae_small_gpa_200e.py 8
"""
_base_ = [
    '../_base_/runtime.py',
    '../_base_/imagenet_224.py',
    '../_base_/schedule_200e.py',
    '../_base_/convmae_base.py',
]

model = dict(
    backbone=dict(arch='small'),
    neck=dict(embed_dim=384),
    teacher=dict(
        type='sbam_mm.FrozenTeacher',
        backbone=dict(
            type='sbam_mm.MaskedViT',
            arch='base',
            img_size=224,
            patch_size=16),
        checkpoint='{{$TEACHER:mae_pretrain_vit_base.pth}}'),
    masker=dict(
        _delete_=True,
        type='sbam_mm.GPA',
        ratio=0.75,
        block=9,
        head=11,
        hard=(0., 0.5),
        soft=(0.5, 0.)))

# 128 images per GPU as in the official run: the convolution stages work on
# all cells. Four batches per step make MAE's 4096 on 8 GPUs, and an epoch
# ends with a whole step: a resumed run equals an uninterrupted one.
train_dataloader = dict(
    batch_size=128,
    drop_last=False,  # the batch sampler's, below
    batch_sampler=dict(
        type='sbam_mm.WholeSteps', accumulative_counts=4, drop_last=True))
optim_wrapper = dict(accumulative_counts=4)
