"""A plain ViT learns from segment_bias_dino_small: the second phase.

PHASE_ONE names a checkpoint of configs/small/segment_bias_dino_small.py, which
has to run first, SEGMENTS the same map file as there.

Paper:    none; the method of Taguchi et al., BMVC 2024.
Expected: divergence .0100, .0012 and .0002 at the ends of 3 epochs (2,000
          CIFAR-10 images, seed 0).
Cost:     about a minute per epoch of 2,000 images on a busy CPU core.
Command:  DATA_ROOT=data/cifar10 SEGMENTS=data/segments.npy .venv/bin/python \
              tools/train.py configs/small/segment_distill_dino_small.py
"""
_base_ = './segment_bias_dino_small.py'

phase_one = '{{$PHASE_ONE:work_dirs/segment_bias_dino_small/epoch_4.pth}}'
encoder = dict(_base_.model.backbone)
encoder.pop('segment_bias')
model = dict(
    _delete_=True,
    type='sbam_mm.DistilDINO',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=encoder,
    head=_base_.model.head,
    teacher=dict(
        type='sbam_mm.FrozenDINO',
        backbone=_base_.model.backbone,
        head=_base_.model.head,
        checkpoint=phase_one))
