"""A plain ViT-B/8 learns from mae_vitb8_bias_1600e: the second phase.

As mae_vitb16_distill_1600e.py, with patches of 8 pixels.

Paper:    Taguchi et al., BMVC 2024, Eqs. 9 and 10, Table 1.
Expected: 81.3 % linear probing, 76.6 / 85.8 / 90.2 % fine-tuned on 1 / 10 /
          100 % in the paper (MAE 78.1, 76.3 / 85.7 / 89.9). Not measured by
          this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
              PHASE_ONE=epoch.pth tools/dist_train.sh \
              configs/segment_bias/mae_vitb8_distill_1600e.py 8
"""
_base_ = './mae_vitb16_distill_1600e.py'

phase_one = '{{$PHASE_ONE:work_dirs/mae_vitb8_bias_1600e/epoch_1600.pth}}'
model = {part: dict(patch_size=8) for part in ('backbone', 'neck', 'head')}
model['teacher'] = dict(backbone=dict(patch_size=8), checkpoint=phase_one)

_base_.train_pipeline[2].update(grid=28)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
