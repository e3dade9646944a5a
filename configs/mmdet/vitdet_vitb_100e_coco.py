"""ViTDet Mask R-CNN, ViT-B/16, 100 epochs of COCO.

Paper:    Li et al., ECCV 2022, ViTDet with ViT-B from MAE, as released.
          Also for Choi et al., ECCV 2024, supplement Table 4, which names
          neither encoder nor recipe.
Expected: 51.6 box AP, 45.9 mask AP from MAE (its authors' numbers); the SBAM
          paper has 53.7 and 47.1 from SBAM, 52.6 and 45.5 from MAE, both 800
          epochs; not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  CHECKPOINT=/path/to/encoder.pth DATA_ROOT=/path/to/coco \
              tools/dist_train.sh configs/mmdet/vitdet_vitb_100e_coco.py 8
"""
_base_ = [
    '../_base_/mmdet_runtime.py',
    '../_base_/models/mask_rcnn_vitdet.py',
    '../_base_/datasets/coco.py',
    '../_base_/schedules/vitdet_100e.py',
]
