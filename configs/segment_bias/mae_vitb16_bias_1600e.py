"""MAE guided by segments, ViT-B/16, 1600 epochs: the first phase.

Batch and rates are those of the method on ImageNet-1K: the paper leaves them
to a supplement that is not public. How u_pos and u_neg start is not said
either: at 0.

Paper:    Taguchi et al., BMVC 2024, Tables 1, 2 and 3.
Expected: 77.2 % linear probing with maps in the paper (tools/evaluate.py
          --segments) and 76.0 without (Table 2; MAE 73.3). Not measured by
          this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_bias_1600e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mae_vitb.py',
    '../_base_/datasets/segments_224.py',
    '../_base_/schedules/mae_1600e.py',
]

model = dict(backbone=dict(segment_bias=dict(sharing='head_and_layer')))
