"""Fine-tune ViT-B/16 on ImageNet-1K for 100 epochs, as MAE does.

Paper:    He et al., MAE, CVPR 2022, appendix A.1 and Table 9.
          The SBAM paper's column has 50 epochs: sbam_vitb_50e.py.
Expected: 83.6 % top-1 from MAE's 1600-epoch encoder (the official code's
          four seeds: 83.5 to 83.7); not measured by this project.
Cost:     not measured by this project.
Command:  PRETRAINED=/path/to/encoder.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/vitb_100e.py 8
"""
_base_ = [
    '../_base_/finetune_runtime.py',
    '../_base_/models/finetune_vitb.py',
    '../_base_/datasets/finetune_224.py',
    '../_base_/schedules/finetune_100e.py',
]
