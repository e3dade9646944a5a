"""ConvMAE-Small with random masking, 200 epochs: GPA's baseline.

The paper does not give ConvMAE-S: its sizes are those of the ConvMAE authors'
FastConvMAE.

Paper:    Xi et al., Global Patch-wise Attention is Masterful Facilitator for
          Masked Image Modeling, ACM MM 2024, Table 10, ConvMAE-S.
Expected: 80.0 % fine-tuning top-1 in the paper, with
          configs/finetune/convmae_small_100e.py (82.4 with GPA). Not measured
          by this project.
Cost:     not stated in the paper for ConvMAE; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/convmae/convmae_small_200e.py 8
"""
_base_ = [
    '../_base_/runtime.py',
    '../_base_/imagenet_224.py',
    '../_base_/schedule_200e.py',
    '../_base_/convmae_base.py',
]

model = dict(backbone=dict(arch='small'), neck=dict(embed_dim=384))

# 128 images per GPU as in the official run: the convolution stages work on
# all cells. Four batches per step make MAE's 4096 on 8 GPUs, and an epoch
# ends with a whole step: a resumed run equals an uninterrupted one.
train_dataloader = dict(
    batch_size=128,
    drop_last=False,  # the batch sampler's, below
    batch_sampler=dict(
        type='sbam_mm.WholeSteps', accumulative_counts=4, drop_last=True))
optim_wrapper = dict(accumulative_counts=4)
