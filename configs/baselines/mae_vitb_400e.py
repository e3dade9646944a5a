"""MAE with random masking, ViT-B/16, 400 epochs: the baseline.

Paper:    He et al., CVPR 2022; as baseline in Liu et al., AAAI 2023,
          Table 1, MAE+Random M, fine-tuned and probed on the class token
          (configs/finetune/amt_vitb_100e.py), Table 3 and Fig. 4. In Choi et
          al., ECCV 2024, Table 1, the baseline is epoch 400 of
          mae_vitb_800e.py; this is a schedule of 400 epochs of its own.
Expected: 82.6 % fine-tuning and 56.6 % linear top-1 in the AMT paper, 82.9 %
          fine-tuning in the SBAM paper; mmpretrain reports 83.3. Not measured
          by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/baselines/mae_vitb_400e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mae_vitb.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/mae_400e.py',
]
