"""A plain ViT-S/16 learns from dino_vits16_bias_300e: the second phase.

PHASE_ONE names the checkpoint of the first phase. Neither the length of this
phase nor where the student starts is said in the paper: 100 epochs, from the
teacher. 16 GPUs x 64 images.

Paper:    Taguchi et al., BMVC 2024, Eq. 8, Table 1.
Expected: 81.7 % linear probing, 68.7 / 82.8 / 88.7 % fine-tuned on 1 / 10 /
          100 % in the paper (DINO 81.9, 68.6 / 82.3 / 88.0). Not measured by
          this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 SEGMENTS=data/segments.npy \
              PHASE_ONE=epoch.pth tools/dist_train.sh \
              configs/segment_bias/dino_vits16_distill_300e.py 8
"""
_base_ = [
    '../_base_/models/dino_vits.py',
    '../_base_/datasets/segments_multi_crop_224.py',
    '../_base_/schedules/ibot_100e.py',
]

phase_one = '{{$PHASE_ONE:work_dirs/dino_vits16_bias_300e/epoch_300.pth}}'
model = dict(
    _delete_=True,
    type='sbam_mm.DistilDINO',
    backbone=_base_.model.backbone,
    head=_base_.model.head,
    teacher=dict(
        type='sbam_mm.FrozenDINO',
        backbone=dict(_base_.model.backbone, segment_bias=dict()),
        head=_base_.model.head,
        checkpoint=phase_one))

# Nothing can collapse, so the prototypes need not wait.
custom_hooks = _base_.custom_hooks[:-1]
