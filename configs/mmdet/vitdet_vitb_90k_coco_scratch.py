"""The schedule of vitdet_vitb_90k_coco.py from random weights.

Paper:    Liu et al., AAAI 2023, Table 3, Random Init.
Expected: 28.1 box and 26.2 mask AP (the paper's numbers; not measured by this
          project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/coco tools/dist_train.sh \
              configs/mmdet/vitdet_vitb_90k_coco_scratch.py 8
"""
_base_ = './vitdet_vitb_90k_coco.py'

model = dict(backbone=dict(init_cfg=None))
