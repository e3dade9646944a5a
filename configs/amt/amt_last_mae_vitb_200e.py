"""MAE with AMT that throws the least attended, ViT-B/16, 200 epochs.

Paper:    Liu et al., AAAI 2023, Table 4, row "MAE+AMT" with 45 %
          masked and 40 % thrown, without the mark for the middle tokens.
Expected: 52.6 % linear probing top-1 on Tiny ImageNet (the paper's number; not
          measured by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/amt/amt_last_mae_vitb_200e.py 8
"""
_base_ = './amt_mae_vitb_200e.py'

model = dict(masker=dict(throw_last=True))
