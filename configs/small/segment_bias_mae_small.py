"""MAE on small images, its attention guided by segments: the first phase.

SEGMENTS names the map file that tools/generate_segments.py makes; see
configs/_base_/segments_small.py.

Paper:    none; the method of Taguchi et al., BMVC 2024.
Expected: kNN 28.0 -> 40.2 %, u_pos +.48 in the first layer and -.59 in the
          last (10,000 CIFAR-10 images, 15 epochs, seed 0;
          docs/segment_bias.md).
Cost:     17 s per epoch of 10,000 images on one CPU core.
Command:  DATA_ROOT=data/cifar10 SEGMENTS=data/segments.npy \
          .venv/bin/python tools/train.py \
              configs/small/segment_bias_mae_small.py
"""
_base_ = '../_base_/segments_small.py'

model = dict(backbone=dict(segment_bias=dict(sharing='head_and_layer')))
