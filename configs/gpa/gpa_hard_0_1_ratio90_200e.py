"""GPA, ViT-B/16, 200 epochs: hard share 0 to 1 at ratio 0.9.

Soft masks have their default share, 0.5 to 0 (section 4.1). The table calls
this row hard, which at 0.75 is 1 to 1; the text on the ratio of 0.9 may mean
that.

Paper:    Xi et al., GPA, ACM MM 2024, Table 4.
Expected: 81.82 % fine-tuning top-1 in the paper. Not measured by this project.
Cost:     gpa_mae_vitb_200e.py's, at this ratio; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/gpa/gpa_hard_0_1_ratio90_200e.py 8
"""
_base_ = '../baselines/gpa_mae_vitb_200e.py'

model = dict(masker=dict(ratio=0.9, hard=(0., 1.)))
