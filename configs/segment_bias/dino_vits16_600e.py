"""DINO, ViT-S/16, 600 epochs of ImageNet-100: the baseline.

Batch and rates as in dino_vits16_300e.py.

Paper:    Taguchi et al., BMVC 2024, Table 1.
Expected: 82.5 % linear probing, 70.9 / 82.8 / 88.3 % fine-tuned on 1 / 10 /
          100 % in the paper. Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 tools/dist_train.sh \
              configs/segment_bias/dino_vits16_600e.py 8
"""
_base_ = './dino_vits16_300e.py'

max_epochs = 600
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=590, end=max_epochs)
_base_.param_scheduler[2].update(T_max=max_epochs, end=max_epochs)
