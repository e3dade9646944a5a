"""CrossMAE, ViT-B/16, 800 epochs, a prediction ratio of 0.25.

All masked patches are predicted with ``model.neck.prediction=1`` and
``optim_wrapper.optimizer.lr=2.4e-3``: the paper scales the learning rate by
the share, for the variance of the loss.

Paper:    Fu et al., Rethinking Patch Dependence for Masked Autoencoders, TMLR
          2025, Table 1, CrossMAE (25%), ViT-B; hyperparameters of Table 10.
Expected: 83.5 % fine-tuning top-1 in the paper, 83.7 with all masked patches
          (83.722 of the released checkpoint); its MAE has 83.3. Not measured
          by this project.
Cost:     in the paper's Table 4, per epoch on two A100 GPUs, 6.32 minutes and
          36.8 GB, MAE 9.35 and 68.4. Not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/crossmae/crossmae_vitb_800e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/crossmae_vitb.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/mae_800e.py',
]

optim_wrapper = dict(optimizer=dict(lr=1.5e-4 * 4096 / 256 / 3))
