"""GPA as a teacher and as a feature in MAE, ViT-B/16, 300 epochs.

As gpa_both_mae_vitb_200e.py. The paper does not say which roles of GPA this
row has; its 200-epoch row is that of both. The warm-up of 20 epochs is that of
the official 200-epoch command.

Paper:    Xi et al., GPA, ACM MM 2024, Table 6, GPA at 300 epochs.
Expected: 83.4 % fine-tuning top-1 in the paper (83.2 after 200 epochs). Not
          measured by this project.
Cost:     gpa_both_mae_vitb_200e.py's, over 300 epochs; not measured by this
          project.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/gpa/gpa_both_mae_vitb_300e.py 8
"""
_base_ = './gpa_both_mae_vitb_200e.py'

max_epochs = 300
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=280, end=max_epochs)
