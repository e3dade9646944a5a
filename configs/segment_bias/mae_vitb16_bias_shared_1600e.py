"""One u_pos and one u_neg for all heads and layers.

The paper probes after mae_vitb16_distill_shared_1600e.py.

Paper:    Taguchi et al., BMVC 2024, Table 5.
Expected: 74.1 % linear probing in the paper (MAE 73.3, per head and layer
          77.1). Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_bias_shared_1600e.py 8
"""
_base_ = './mae_vitb16_bias_1600e.py'

model = dict(backbone=dict(segment_bias=dict(sharing='shared')))
