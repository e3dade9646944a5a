"""ConvMAE-Base with random masking, 800 epochs of ImageNet-1K: the baseline.

Paper:    Gao et al., MCMAE: Masked Convolution Meets Masked Autoencoders,
          NeurIPS 2022.
Expected: between 84.4 % fine-tuning top-1 after 200 epochs and 85.0 after
          1600, by the authors' repositories. Not measured by this project.
Cost:     512 GPU hours for 200 epochs and 4000 for 1600 by the authors'
          FastConvMAE repository; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/convmae/convmae_base_800e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/convmae_base.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/mae_800e.py',
]

# 128 images per GPU as in the official run: the convolution stages work on
# all cells. Four batches per step make MAE's 4096 on 8 GPUs, and an epoch
# ends with a whole step: a resumed run equals an uninterrupted one.
train_dataloader = dict(
    batch_size=128,
    drop_last=False,  # the batch sampler's, below
    batch_sampler=dict(
        type='sbam_mm.WholeSteps', accumulative_counts=4, drop_last=True))
optim_wrapper = dict(accumulative_counts=4)
