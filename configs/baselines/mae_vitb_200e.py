"""MAE with random masking, ViT-B/16, 200 epochs: GPA's baseline.

The paper names no warm-up; here the 20 epochs of the official GPA command, so
that the pair differs in the masks alone.

Paper:    Xi et al., GPA, ACM MM 2024, Tables 1, 2, 6, 7, 9 and 10, MAE.
Expected: 82.23 % fine-tuning top-1 (Table 1), 50.8 linear probing (Table 7),
          33.0 box and 29.8 mask AP, 40.5 mIoU (Table 2) in the paper. Not
          measured by this project.
Cost:     not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/baselines/mae_vitb_200e.py 8
"""
_base_ = '../amt/mae_vitb_200e.py'

_base_.param_scheduler[0].update(end=20)
_base_.param_scheduler[1].update(T_max=180, begin=20)
