"""MAE, ViT-B/16, 3200 epochs of ImageNet-100: the baseline.

Batch and rates as in mae_vitb16_1600e.py.

Paper:    Taguchi et al., BMVC 2024, Table 1.
Expected: 76.9 % linear probing, 66.2 / 79.8 / 88.4 % fine-tuned on 1 / 10 /
          100 % in the paper. Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_3200e.py 8
"""
_base_ = './mae_vitb16_1600e.py'

max_epochs = 3200
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=3160, end=max_epochs)
