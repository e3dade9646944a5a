"""SimMIM, ViT-B/16, 800 epochs of ImageNet-1K: the published recipe.

Batch 2048, AdamW at 4e-4 with a step at epoch 700, stochastic depth 0.1,
shared relative positions, layer scale 0.1; bfloat16 in place of the official
code's float16.

Paper:    Xie et al., *SimMIM*, CVPR 2022, ViT-B; the settings are those of
          the official repository's file for ViT-B.
Expected: 83.8 % fine-tuning top-1 (the paper and the official repository;
          not measured by this project).
Cost:     not measured by this project; all 196 tokens pass the encoder,
          four times as many as in MAE.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/simmim/simmim_vitb_800e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/simmim_vitb.py',
    '../_base_/datasets/imagenet_224_simmim.py',
    '../_base_/schedules/simmim_800e.py',
]
