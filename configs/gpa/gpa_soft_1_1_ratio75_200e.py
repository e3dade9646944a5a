"""GPA, ViT-B/16, 200 epochs: soft share 1 at ratio 0.75.

Hard masks have their default share, 0 to 0.5 (section 4.1). Where both shares
would be more than all masks, the soft one gives way, as in the official code.

Paper:    Xi et al., GPA, ACM MM 2024, Table 3.
Expected: 82.70 % fine-tuning top-1 in the paper. Not measured by this project.
Cost:     gpa_mae_vitb_200e.py's, at this ratio; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/gpa/gpa_soft_1_1_ratio75_200e.py 8
"""
_base_ = '../baselines/gpa_mae_vitb_200e.py'

model = dict(masker=dict(ratio=0.75, soft=(1., 1.)))
