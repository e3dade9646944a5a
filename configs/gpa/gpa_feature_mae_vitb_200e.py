"""GPA as a feature alone in MAE, ViT-B/16: random masks, 200 epochs.

The teacher is a pre-trained MAE ViT-B, here the official 1600-epoch weights;
TEACHER names their file. What is hidden is random, and the teacher's attention
is predicted. The paper's Tables 1 and 2 have columns for the two roles and no
row with this one alone.

Paper:    Xi et al., GPA, ACM MM 2024, section 3.3.
Expected: between MAE's 82.23 and the 83.22 of both roles, if anything; not in
          the paper, not measured by this project.
Cost:     gpa_both_mae_vitb_200e.py's; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/gpa/gpa_feature_mae_vitb_200e.py 8
"""
_base_ = './gpa_both_mae_vitb_200e.py'

model = dict(
    masker=dict(_delete_=True, type='sbam_mm.RandomMasker', ratio=0.75),
    target=dict(
        type='sbam_mm.AttentionSalience',
        source='teacher',
        block=9,
        head=11,
        queries='patches',
        softmax=False,
        own_query=False))
