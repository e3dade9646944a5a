"""Only pairs of different segments get a bias.

The paper probes after mae_vitb16_distill_negative_1600e.py.

Paper:    Taguchi et al., BMVC 2024, Table 4.
Expected: 74.1 % linear probing after the second phase in the paper (MAE 73.3,
          both relations 77.1). Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_bias_negative_1600e.py 8
"""
_base_ = './mae_vitb16_bias_1600e.py'

model = dict(backbone=dict(segment_bias=dict(relations=['negative'])))
