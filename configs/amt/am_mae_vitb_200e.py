"""MAE with attention-driven masking (AM), ViT-B/16, 200 epochs.

Paper:    Liu et al., AAAI 2023, Table 4, row "MAE+Attention-driven
          M": 75 % masked, none thrown.
Expected: 50.1 % linear probing top-1 on Tiny ImageNet (the paper's number; not
          measured by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/amt/am_mae_vitb_200e.py 8
"""
_base_ = '../baselines/am_mae_vitb_400e.py'

max_epochs = 200
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=160, end=max_epochs)
