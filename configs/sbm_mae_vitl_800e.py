"""SBM, salience masking without AMR, in MAE, ViT-L/16, 800 epochs.

Paper:    Choi et al., ECCV 2024, supplement Table 1, SBAM without AMR.
Expected: 85.4 % fine-tuning, 74.7 % linear top-1 (the paper's numbers; not
          measured by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/sbm_mae_vitl_800e.py 8
"""
_base_ = [
    './_base_/runtime.py',
    './_base_/imagenet_224.py',
    './_base_/mae_vitl.py',
    './_base_/schedule_800e.py',
]

model = dict(
    masker=dict(_delete_=True, type='sbam_mm.SBM', ratio=0.75, noise=0.5))
