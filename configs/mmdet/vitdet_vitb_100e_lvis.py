"""ViTDet Mask R-CNN, ViT-B/16, 100 epochs of LVIS v1.

Paper:    Li et al., ECCV 2022, ViTDet for LVIS as released; there with
          federated loss, which mmdet lacks: here over all classes.
Expected: 40.2 box AP, 38.2 mask AP from MAE (its authors' numbers, with
          federated loss); not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  CHECKPOINT=/path/to/encoder.pth DATA_ROOT=/path/to/lvis_v1 \
              tools/dist_train.sh configs/mmdet/vitdet_vitb_100e_lvis.py 8
"""
_base_ = [
    '../_base_/mmdet_runtime.py',
    '../_base_/models/mask_rcnn_vitdet_lvis.py',
    '../_base_/datasets/lvis.py',
    '../_base_/schedules/vitdet_100e.py',
]

# 100,000 images a hundred times, 64 at a time.
max_iters = 156250
_base_.param_scheduler[1].update(end=max_iters, milestones=[138889, 150463])
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
