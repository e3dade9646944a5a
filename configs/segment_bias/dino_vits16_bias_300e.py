"""DINO guided by segments, ViT-S/16, 300 epochs: the first phase.

Batch and rates are those of the method on ImageNet-1K: the paper leaves them
to a supplement that is not public. Student and teacher are told the segments
of every crop; u_pos and u_neg start at 0. 16 GPUs x 64 images.

Paper:    Taguchi et al., BMVC 2024, Table 1.
Expected: not in the paper, which gives the second phase. Not measured by this
          project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/dino_vits16_bias_300e.py 8
"""
_base_ = [
    '../_base_/models/dino_vits.py',
    '../_base_/datasets/segments_multi_crop_224.py',
    '../_base_/schedules/dino_300e.py',
]

model = dict(backbone=dict(segment_bias=dict()))
