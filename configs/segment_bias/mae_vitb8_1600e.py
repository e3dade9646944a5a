"""MAE, ViT-B/8, 1600 epochs of ImageNet-100: the baseline.

Batch and rates as in mae_vitb16_1600e.py.

Paper:    Taguchi et al., BMVC 2024, Table 1.
Expected: 78.1 % linear probing, 76.3 / 85.7 / 89.9 % fine-tuned on 1 / 10 /
          100 % in the paper. Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet tools/dist_train.sh \
              configs/segment_bias/mae_vitb8_1600e.py 8
"""
_base_ = './mae_vitb16_1600e.py'

model = {part: dict(patch_size=8) for part in ('backbone', 'neck', 'head')}
