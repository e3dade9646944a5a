"""MAE guided by segments, ViT-B/16, 3200 epochs: the first phase.

Batch, rates and the start of u_pos and u_neg as in mae_vitb16_bias_1600e.py.

Paper:    Taguchi et al., BMVC 2024, Table 1.
Expected: not in the paper; the second phase gives 79.2 % linear probing (MAE
          76.9). Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_bias_3200e.py 8
"""
_base_ = './mae_vitb16_bias_1600e.py'

max_epochs = 3200
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=3160, end=max_epochs)
