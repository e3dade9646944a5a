"""MAE guided by segments, ViT-B/8, 1600 epochs: the first phase.

Batch, rates and the start of u_pos and u_neg as in mae_vitb16_bias_1600e.py.

Paper:    Taguchi et al., BMVC 2024, Table 1.
Expected: not in the paper; the second phase gives 81.3 % linear probing (MAE
          78.1). Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/mae_vitb8_bias_1600e.py 8
"""
_base_ = './mae_vitb16_bias_1600e.py'

model = {part: dict(patch_size=8) for part in ('backbone', 'neck', 'head')}

_base_.train_pipeline[2].update(grid=28)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
