"""MAE with AMT, ViT-B/16, 200 epochs.

Paper:    Liu et al., AAAI 2023, Table 4, row "MAE+AMT" with 45 %
          masked and 40 % thrown, of the middle.
Expected: 53.3 % linear probing top-1 on Tiny ImageNet (the paper's number; not
          measured by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/amt/amt_mae_vitb_200e.py 8
"""
_base_ = './am_mae_vitb_200e.py'

model = dict(masker=dict(type='sbam_mm.AMT', ratio=0.45, throw=0.4))
