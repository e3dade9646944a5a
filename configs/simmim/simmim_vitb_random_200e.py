"""SimMIM with random masking, ViT-B/16, 200 epochs: AMT's baseline.

Learned absolute positions, as in all of AMT's experiments.

Paper:    Liu et al., AAAI 2023, Table 1 and 2, SimMIM+Random M; "settings of
          pre-training follow the original works strictly", so batch, rates
          and layer scale are SimMIM's.
Expected: 81.5 % fine-tuning top-1 on ImageNet-1K, 74.0 on Tiny ImageNet (the
          paper's numbers; not measured by this project).
Cost:     not stated in hours; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/simmim/simmim_vitb_random_200e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/simmim_vitb_absolute.py',
    '../_base_/datasets/imagenet_224_simmim.py',
    '../_base_/schedules/simmim_200e.py',
]
