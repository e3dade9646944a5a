"""MAE with random masking, ViT-B/16, 400 epochs: the baseline.

Paper:    He et al., CVPR 2022; as baseline in Choi et al., ECCV 2024, Table 1.
Expected: 82.9 % fine-tuning top-1 in the SBAM paper; mmpretrain reports 83.3.
          Not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/baselines/mae_vitb_400e.py 8
"""
_base_ = [
    '../_base_/runtime.py',
    '../_base_/imagenet_224.py',
    '../_base_/mae_vitb.py',
    '../_base_/schedule_400e.py',
]
