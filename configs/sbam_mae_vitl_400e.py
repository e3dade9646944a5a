"""SBAM with per-image AMR in MAE, ViT-L/16, 400 epochs of ImageNet-1K.

Paper:    Choi et al., ECCV 2024, Table 1, MAE (ViT-L) + SBAM.
          The paper's number is of epoch 400 of 800 (section 6.1), a
          milestone of sbam_mae_vitl_800e.py. This is a schedule of 400 epochs
          of its own, the length of the authors' command, which resumes a plain
          MAE of 100 epochs (`masker.start_epoch=100`).
Expected: 85.1 % fine-tuning top-1 (the paper's number, of another schedule;
          not measured by this project).
Cost:     92.5 h on 8 A6000 in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/sbam_mae_vitl_400e.py 8
"""
_base_ = './sbam_mae_vitl_800e.py'

max_epochs = 400
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=360, end=max_epochs)
