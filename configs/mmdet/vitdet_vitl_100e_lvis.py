"""ViTDet Mask R-CNN, ViT-L/16, 100 epochs of LVIS v1.

Paper:    Li et al., ECCV 2022, ViTDet for LVIS as released; there with
          federated loss, which mmdet lacks: here over all classes.
Expected: 46.1 box AP, 43.6 mask AP from MAE (its authors' numbers, with
          federated loss); not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  CHECKPOINT=/path/to/encoder.pth DATA_ROOT=/path/to/lvis_v1 \
              tools/dist_train.sh configs/mmdet/vitdet_vitl_100e_lvis.py 8
"""
_base_ = './vitdet_vitb_100e_lvis.py'

# As vitdet_vitl_100e_coco.py, with the iterations of LVIS, doubled, too.
train_dataloader = dict(batch_size=4)
model = dict(
    backbone=dict(arch='large', drop_path_rate=0.4),
    neck=dict(in_channels=1024))
optim_wrapper = dict(
    accumulative_counts=2, paramwise_cfg=dict(layer_decay_rate=0.8))
max_iters = 312500
_base_.param_scheduler[0].update(end=500)
_base_.param_scheduler[1].update(end=max_iters, milestones=[277778, 300926])
train_cfg = dict(max_iters=max_iters, val_interval=20000)
