"""SBAM with per-image AMR in MAE, ViT-B/16, 400 epochs of ImageNet-1K.

Paper:    Choi et al., ECCV 2024, Table 1 and 2, MAE (ViT-B) + SBAM. The
          paper's number is of epoch 400 of 800 (section 6.1), a milestone of
          sbam_mae_vitb_800e.py; this is a schedule of 400 epochs of its own,
          the length of the authors' command.
Expected: 83.6 % fine-tuning top-1 (the paper's number, of another schedule;
          not measured by this project; the official MAE reports 83.6 for
          ViT-B after 1600 epochs without SBAM).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/sbam_mae_vitb_400e.py 8
"""
_base_ = './sbam_mae_vitl_400e.py'

model = dict(backbone=dict(arch='base'), neck=dict(embed_dim=768))
