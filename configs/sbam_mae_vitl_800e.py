"""SBAM with per-image AMR in MAE, ViT-L/16, 800 epochs of ImageNet-1K.

Its 400-epoch numbers are those of `epoch_400.pth`; epochs 200, 400, 600 and
800 stay in the work_dir.

Paper:    Choi et al., Salience-Based Adaptive Masking, ECCV 2024, Table 1,
          MAE (ViT-L) + SBAM, Fig. 6, and supplement Table 1, rows with AMR.
Expected: 85.8 % fine-tuning, 75.4 % linear top-1; of epoch 400, 85.1 and 73.5
          (the paper's numbers; not measured by this project). The released
          code averages the ratio over the batch; `masker.scope='batch'` does
          the same.
Cost:     the paper reports 92.5 h for 400 epochs on 8 A6000 (supplement,
          Table 2); not measured by this project.
Batch:    8 x 512 = 4096. On GPUs with less memory:
          --cfg-options train_dataloader.batch_size=256
                        optim_wrapper.accumulative_counts=2
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/sbam_mae_vitl_800e.py 8
"""
_base_ = './baselines/mae_vitl_800e.py'

model = dict(
    masker=dict(
        type='sbam_mm.SBAM',
        ratio=0.75,
        delta_r=0.15,
        delta=0.1,
        noise=0.5,
        scope='sample'))
