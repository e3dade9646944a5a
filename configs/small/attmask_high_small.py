"""AttMask-High in MAE on small images, with a momentum teacher.

Every image is masked at 0.75; the moving average of the encoder, on all
tokens, says what its class token attends to.

Paper:    none; the masker of Kakogeorgiou et al., ECCV 2022, published in
          iBOT, here in MAE.
Expected: not measured by this project.
Cost:     not measured by this project; one encoder pass over all tokens more
          than random masking, without its last block's output.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/small/attmask_high_small.py
"""
_base_ = './mae_small.py'

model = dict(
    teacher=dict(
        type='sbam_mm.MomentumTeacher', momentum=0.996, end_momentum=1.),
    masker=dict(
        _delete_=True,
        type='sbam_mm.AttMask',
        mode='high',
        ratio=0.75,
        probability=1.,
        source='teacher'))
