"""GPA as a teacher and as a feature in MAE, ViT-B/16, 200 epochs.

The teacher is a pre-trained MAE ViT-B, here the official 1600-epoch weights;
TEACHER names their file. The paper's equations add both losses in every step
(Eq. 8), on the score as it is (Eq. 7); docs/frameworks.md has the other
readings.

Paper:    Xi et al., GPA, ACM MM 2024, Tables 1, 2, 6, 7 and 9, GPA as teacher
          and as feature.
Expected: 83.22 % fine-tuning top-1 (Table 1; MAE 82.23), 64.9 linear probing
          (Table 7; MAE 50.8), 34.5 box and 31.1 mask AP, 44.3 mIoU (Table 2)
          in the paper. Not measured by this project.
Cost:     1.1 times the FLOPs of MAE by the paper's Table 9, 2.0 times in a
          step as counted by tools/benchmarks/methods.py: the second decoder
          takes as much as the first.
Command:  DATA_ROOT=/path/to/imagenet TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/gpa/gpa_both_mae_vitb_200e.py 8
"""
_base_ = '../baselines/gpa_mae_vitb_200e.py'

model = dict(type='sbam_mm.GPAFeature', variant='paper', weight=1.)
