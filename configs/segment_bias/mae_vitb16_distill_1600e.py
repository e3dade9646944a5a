"""A plain ViT-B/16 learns from mae_vitb16_bias_1600e: the second phase.

PHASE_ONE names the checkpoint of the first phase; with another sharing than
there, set model.teacher.backbone.segment_bias to it. Neither the length of
this phase nor where the student starts is said in the paper: 200 epochs, from
the teacher.

Paper:    Taguchi et al., BMVC 2024, Eqs. 9 and 10, Tables 1, 2, 3, 4 and 5.
Expected: 77.1 % linear probing, 65.0 / 79.0 / 88.6 % fine-tuned on 1 / 10 /
          100 % in the paper (MAE 73.3, 64.8 / 78.5 / 88.1). Not measured by
          this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
              PHASE_ONE=epoch.pth tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_distill_1600e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mae_vitb.py',
    '../_base_/datasets/segments_224.py',
    '../_base_/schedules/mae_200e.py',
]

phase_one = '{{$PHASE_ONE:work_dirs/mae_vitb16_bias_1600e/epoch_1600.pth}}'
model = dict(
    type='sbam_mm.DistilMAE',
    teacher=dict(
        type='sbam_mm.FrozenTeacher',
        backbone=dict(
            _base_.model.backbone,
            segment_bias=dict(sharing='head_and_layer')),
        checkpoint=phase_one),
    weight=1.)
