"""UperNet with ViT-B/16 on ADE20K, 160k steps, MAE's recipe.

Paper:    He et al., CVPR 2022, appendix A.4 and Table 5, UperNet with ViT-B.
Expected: 48.1 mIoU from MAE's 1600 epochs (the paper's number; not measured
          by this project).
Cost:     not stated in the paper; not measured by this project.
Command:  CHECKPOINT=/path/to/encoder.pth DATA_ROOT=/path/to/ade20k \
          tools/dist_train.sh configs/mmseg/upernet_vitb_160k_ade20k.py 8
"""
_base_ = [
    '../_base_/mmseg_runtime.py',
    '../_base_/models/upernet_vitb.py',
    '../_base_/datasets/ade20k.py',
    '../_base_/schedules/upernet_160k.py',
]

model = dict(backbone=dict(type='sbam_mm.RelativeViT'))
