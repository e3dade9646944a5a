"""MAE with random masking, ViT-B/16, 800 epochs: the baseline.

The SBAM paper's number is that of `epoch_400.pth`, which stays in the work_dir
as one of four milestones.

Paper:    He et al., CVPR 2022; as baseline in Choi et al., ECCV 2024, Table 1,
          MAE (ViT-B), measured after 400 of 800 epochs (section 6.1).
Expected: 82.9 % fine-tuning top-1 of epoch 400 in the SBAM paper; mmpretrain
          reports 83.3 for 400 epochs of their own and for 800. Not measured
          by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/baselines/mae_vitb_800e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mae_vitb.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/mae_800e.py',
]
