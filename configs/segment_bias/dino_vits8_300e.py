"""DINO, ViT-S/8, 300 epochs of ImageNet-100: the baseline.

Batch and rates as in dino_vits16_300e.py.

Paper:    Taguchi et al., BMVC 2024, Table 1.
Expected: 84.9 % linear probing, 70.5 / 83.6 / 89.1 % fine-tuned on 1 / 10 /
          100 % in the paper. Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 tools/dist_train.sh \
              configs/segment_bias/dino_vits8_300e.py 8
"""
_base_ = './dino_vits16_300e.py'

model = dict(backbone=dict(patch_size=8))
