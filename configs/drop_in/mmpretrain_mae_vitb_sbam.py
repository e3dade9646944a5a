"""The one-line drop-in: a masker in mmpretrain's own MAE config.

mmpretrain's decoder wants equally many tokens per image, so the ratio is
that of the batch, as in the authors' released code; for per-image ratios use
`sbam_mae_vitb_400e.py`.

Paper:    Choi et al., ECCV 2024, on mmpretrain's MAE ViT-B recipe.
Expected: not stated anywhere; not measured by this project.
Cost:     as mmpretrain's MAE with up to 60 % more visible tokens; not
          measured by this project.
Data:     mmpretrain's layout, data/imagenet/train/<class>/*.JPEG.
Command:  tools/dist_train.sh configs/drop_in/mmpretrain_mae_vitb_sbam.py 8
"""
_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-800e_in1k.py'

model = dict(
    backbone=dict(
        type='sbam_mm.MAEViT',
        masker=dict(type='sbam_mm.SBAM', scope='batch')))
