"""SBM, salience masking without AMR, in MAE, ViT-L/16, 800 epochs.

Epochs 200, 400, 600 and 800 stay in the work_dir.

Paper:    Choi et al., ECCV 2024, Fig. 4 and supplement Table 1, SBAM without
          AMR.
Expected: 85.4 % fine-tuning, 74.7 % linear top-1; of epoch 400, 85.0 and 73.1
          (the paper's numbers; not measured by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/sbm_mae_vitl_800e.py 8
"""
_base_ = './baselines/mae_vitl_800e.py'

model = dict(masker=dict(type='sbam_mm.SBM', noise=0.5))
