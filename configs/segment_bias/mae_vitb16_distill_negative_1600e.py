"""Phase two where only pairs of different segments had a bias.

PHASE_ONE names the checkpoint of mae_vitb16_bias_negative_1600e.

Paper:    Taguchi et al., BMVC 2024, Table 4.
Expected: 74.1 % linear probing in the paper (MAE 73.3, both relations 77.1).
          Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
              PHASE_ONE=epoch.pth tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_distill_negative_1600e.py 8
"""
_base_ = './mae_vitb16_distill_1600e.py'

phase_one = (
    '{{$PHASE_ONE:work_dirs/mae_vitb16_bias_negative_1600e/epoch_1600.pth}}')
model = dict(
    teacher=dict(
        backbone=dict(segment_bias=dict(relations=['negative'])),
        checkpoint=phase_one))
