"""MAE with random masking, ViT-B/16, 200 epochs.

Paper:    Liu et al., AAAI 2023, Table 4, row "MAE+Random M": 75 %
          masked.
Expected: 52.3 % linear probing top-1 on Tiny ImageNet (the paper's number; not
          measured by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/amt/mae_vitb_200e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mae_vitb.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/mae_200e.py',
]
