"""The schedule of vitdet_vitb_75k_lvis.py from random weights.

Paper:    Liu et al., AAAI 2023, Table 3, Random Init.
Expected: 14.6 box and 14.3 mask AP (the paper's numbers; not measured by this
          project).
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/lvis_v1 tools/dist_train.sh \
              configs/mmdet/vitdet_vitb_75k_lvis_scratch.py 8
"""
_base_ = './vitdet_vitb_75k_lvis.py'

model = dict(backbone=dict(init_cfg=None))
