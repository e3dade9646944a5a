"""UperNet with ViT-B/16 on ADE20K, 160k steps: GPA's comparison.

The paper names 160k iterations at 512 x 512 and mmseg, and no other setting:
MAE's, as in upernet_vitb_160k_ade20k.py.

Paper:    Xi et al., GPA, ACM MM 2024, section 4 and Table 8.
Expected: 48.9 mIoU from 800 epochs of GPA in the paper (MAE 48.1, HPM 48.5,
          SemMAE 46.3); not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  CHECKPOINT=/path/to/encoder.pth DATA_ROOT=/path/to/ade20k \
          tools/dist_train.sh configs/mmseg/upernet_vitb_gpa_160k_ade20k.py 8
"""
_base_ = './upernet_vitb_160k_ade20k.py'
