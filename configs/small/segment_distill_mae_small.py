"""A plain ViT learns from segment_bias_mae_small: the second phase.

PHASE_ONE names a checkpoint of configs/small/segment_bias_mae_small.py, which
has to run first, SEGMENTS the same map file as there.

Paper:    none; the method of Taguchi et al., BMVC 2024.
Expected: the attention error falls, from .0108 at step 50 to .0014 (10,000
          CIFAR-10 images, 8 epochs, seed 0; docs/segment_bias.md).
Cost:     half a minute per epoch of 10,000 images on one CPU core.
Command:  DATA_ROOT=data/cifar10 SEGMENTS=data/segments.npy .venv/bin/python \
              tools/train.py configs/small/segment_distill_mae_small.py
"""
_base_ = './segment_bias_mae_small.py'

phase_one = '{{$PHASE_ONE:work_dirs/segment_bias_mae_small/epoch_4.pth}}'
model = dict(
    type='sbam_mm.DistilMAE',
    teacher=dict(
        type='sbam_mm.FrozenTeacher',
        backbone=dict(_base_.model.backbone),
        checkpoint=phase_one),
    # After minutes the bias is small, and a student that starts as the
    # teacher would begin where it should end.
    start='scratch')
# The student has no bias.
del _base_.model.backbone.segment_bias
