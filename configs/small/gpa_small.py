"""GPA as a teacher on small images: masks from a trained MAE's attention.

The teacher is the last checkpoint of configs/small/mae_small.py, which has to
run first; TEACHER names another. Block and head are not selected for these
images: the last head of the last block, which needs no annotated ones.

Paper:    none; the method of Xi et al., ACM MM 2024, with its defaults.
Expected: not measured by this project.
Cost:     not measured by this project; one pass of the teacher over all
          tokens more than MAE.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/gpa_small.py
"""
_base_ = './mae_small.py'

model = dict(
    teacher=dict(
        type='sbam_mm.FrozenTeacher',
        backbone=_base_.model.backbone,
        checkpoint='{{$TEACHER:work_dirs/mae_small/epoch_4.pth}}'),
    masker=dict(
        _delete_=True,
        type='sbam_mm.GPA',
        ratio=0.75,
        block=3,
        head=2,
        hard=(0., 0.5),
        soft=(0.5, 0.)))
