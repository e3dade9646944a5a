"""BootMAE with SBAM and per-image AMR, ViT-B/16, 800 epochs of ImageNet-1K.

Paper:    Choi et al., ECCV 2024, Table 1, BootMAE (ViT-B) + SBAM.
Expected: 84.8 % fine-tuning top-1 against 84.1 without SBAM (the paper's
          numbers, after 400 of 800 epochs by its section 6.1; BootMAE's
          authors report 84.2 after 800; not measured by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/bootmae/bootmae_vitb_sbam_800e.py 8
"""
_base_ = './bootmae_vitb_800e.py'

model = dict(
    masker=dict(
        type='sbam_mm.SBAM', delta_r=0.15, delta=0.1, noise=0.5,
        scope='sample'))
