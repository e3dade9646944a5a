"""CAE with SBAM, ViT-S/16: a ratio for every image, around CAE's half.

SBAM's paper does not try CAE: base ratio and range are this project's choice.

Paper:    none; Choi et al., ECCV 2024, in Chen et al., IJCV 2023.
Expected: not measured by this project.
Cost:     cae_vits_300e.py's; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet DALLE_ENCODER=dalle_encoder.pth \
              tools/dist_train.sh configs/cae/cae_vits_sbam_300e.py 8
"""
_base_ = './cae_vits_300e.py'

model = dict(
    masker=dict(
        type='sbam_mm.SBAM', delta_r=0.15, delta=0.1, noise=0.5,
        scope='sample'))
