"""ViTDet Mask R-CNN, ViT-L/16, 100 epochs of COCO.

Paper:    Li et al., ECCV 2022, ViTDet with ViT-L from MAE, as released.
          Also for Choi et al., ECCV 2024, supplement Table 4, which names
          neither encoder nor recipe.
Expected: 55.5 box AP, 49.2 mask AP from MAE (its authors' numbers; not
          measured by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  CHECKPOINT=/path/to/encoder.pth DATA_ROOT=/path/to/coco \
              tools/dist_train.sh configs/mmdet/vitdet_vitl_100e_coco.py 8
"""
_base_ = './vitdet_vitb_100e_coco.py'

# 64 images as 8 GPUs with 4 each, twice: a step of the optimizer is two
# iterations, so every number of iterations is doubled.
train_dataloader = dict(batch_size=4)
model = dict(
    backbone=dict(arch='large', drop_path_rate=0.4),
    neck=dict(in_channels=1024))
optim_wrapper = dict(
    accumulative_counts=2, paramwise_cfg=dict(layer_decay_rate=0.8))
max_iters = 368750
_base_.param_scheduler[0].update(end=500)
_base_.param_scheduler[1].update(end=max_iters, milestones=[327778, 355092])
train_cfg = dict(max_iters=max_iters, val_interval=20000)
