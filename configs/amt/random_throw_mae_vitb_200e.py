"""MAE with random masking and throwing, ViT-B/16, 200 epochs.

Paper:    Liu et al., AAAI 2023, Table 4, row "MAE+Random T":
          "randomly throws 40% tokens of the image and masks 45% tokens".
Expected: 50.8 % linear probing top-1 on Tiny ImageNet (the paper's number; not
          measured by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/amt/random_throw_mae_vitb_200e.py 8
"""
_base_ = './mae_vitb_200e.py'

model = dict(masker=dict(type='sbam_mm.RandomThrow', ratio=0.45, throw=0.4))
