"""The bias is not learnt: +1 and -1.

The paper probes after mae_vitb16_distill_fixed_1600e.py.

Paper:    Taguchi et al., BMVC 2024, Table 5.
Expected: 72.8 % linear probing in the paper (MAE 73.3, learnt per head and
          layer 77.1). Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_bias_fixed_1600e.py 8
"""
_base_ = './mae_vitb16_bias_1600e.py'

model = dict(backbone=dict(segment_bias=dict(sharing='fixed')))
