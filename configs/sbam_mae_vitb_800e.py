"""SBAM with per-image AMR in MAE, ViT-B/16, 800 epochs of ImageNet-1K.

The paper's numbers are those of `epoch_400.pth`, which stays in the work_dir
as one of four milestones.

Paper:    Choi et al., ECCV 2024, Table 1 and 2, MAE (ViT-B) + SBAM: 400 epochs
          "in intermediate stages in the training towards 800 epochs"
          (section 6.1).
Expected: 83.6 % fine-tuning top-1 of epoch 400 (the paper's number; not
          measured by this project; the official MAE reports 83.6 for ViT-B
          after 1600 epochs without SBAM).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/sbam_mae_vitb_800e.py 8
"""
_base_ = './sbam_mae_vitl_800e.py'

model = dict(backbone=dict(arch='base'), neck=dict(embed_dim=768))
