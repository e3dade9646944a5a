"""UperNet with a plain ViT-B/16 on ADE20K, 160k steps.

Paper:    the schedule of He et al., CVPR 2022, appendix A.4, without the
          relative positions and layer scale it adds to the encoder.
Expected: less than 48.1 mIoU, which relative positions and layer scale are
          part of; not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  CHECKPOINT=/path/to/encoder.pth DATA_ROOT=/path/to/ade20k \
          tools/dist_train.sh configs/mmseg/upernet_vitb_plain_160k_ade20k.py 8
"""
_base_ = './upernet_vitb_160k_ade20k.py'

model = dict(backbone=dict(type='sbam_mm.DenseViT'))
