"""GPA, ViT-B/16, 200 epochs, by the last head of the last block.

Paper:    Xi et al., GPA, ACM MM 2024, Table 5.
Expected: 82.70 % fine-tuning top-1 in the paper (82.73 with block 9, head 11).
          Not measured by this project.
Cost:     gpa_mae_vitb_200e.py's with another number of the teacher's blocks;
          not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/gpa/gpa_last_head_200e.py 8
"""
_base_ = '../baselines/gpa_mae_vitb_200e.py'

model = dict(masker=dict(block=11, head=11))
