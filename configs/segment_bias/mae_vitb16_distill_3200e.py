"""A plain ViT-B/16 learns from mae_vitb16_bias_3200e: the second phase.

As mae_vitb16_distill_1600e.py, from the first phase that PHASE_ONE names.

Paper:    Taguchi et al., BMVC 2024, Eqs. 9 and 10, Table 1.
Expected: 79.2 % linear probing, 66.9 / 80.2 / 88.7 % fine-tuned on 1 / 10 /
          100 % in the paper (MAE 76.9, 66.2 / 79.8 / 88.4). Not measured by
          this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
              PHASE_ONE=epoch.pth tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_distill_3200e.py 8
"""
_base_ = './mae_vitb16_distill_1600e.py'

phase_one = '{{$PHASE_ONE:work_dirs/mae_vitb16_bias_3200e/epoch_3200.pth}}'
model = dict(teacher=dict(checkpoint=phase_one))
