"""GPA as a teacher and as a feature on small images: attention is predicted.

The teacher is the last checkpoint of mae_small.py, which has to run first;
TEACHER names another. Block and head are not selected for these images: the
last head of the last block, which needs no annotated ones. As a teacher alone:
mae_small.py with `--masker gpa block=3 head=2 --teacher CHECKPOINT`.

Paper:    none; the method of Xi et al., ACM MM 2024, Table 1, last row.
Expected: not measured by this project.
Cost:     not measured by this project; one more decoder than MAE, and one pass
          of the teacher over all tokens.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py \
              configs/small/gpa_feature_small.py
"""
_base_ = './mae_small.py'

model = dict(
    type='sbam_mm.GPAFeature',
    teacher=dict(
        type='sbam_mm.FrozenTeacher',
        backbone=_base_.model.backbone,
        checkpoint='{{$TEACHER:work_dirs/mae_small/epoch_4.pth}}'),
    masker=dict(
        type='sbam_mm.GPA', block=3, head=2, hard=(0., 0.5), soft=(0.5, 0.)),
    variant='paper',
    weight=1.)
