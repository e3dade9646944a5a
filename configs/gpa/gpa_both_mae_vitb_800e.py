"""GPA as a teacher and as a feature in MAE, ViT-B/16, 800 epochs.

Roles of GPA and warm-up as in gpa_both_mae_vitb_300e.py.

Paper:    Xi et al., GPA, ACM MM 2024, Table 8, GPA.
Expected: 48.9 mIoU with UperNet in the paper (MAE 48.1, HPM 48.5), see
          configs/mmseg/upernet_vitb_gpa_160k_ade20k.py. Not measured by this
          project.
Cost:     gpa_both_mae_vitb_200e.py's, over 800 epochs; not measured by this
          project.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/gpa/gpa_both_mae_vitb_800e.py 8
"""
_base_ = './gpa_both_mae_vitb_200e.py'

max_epochs = 800
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=780, end=max_epochs)
