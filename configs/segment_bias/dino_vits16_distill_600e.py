"""A plain ViT-S/16 learns from dino_vits16_bias_600e: the second phase.

As dino_vits16_distill_300e.py, from the first phase that PHASE_ONE names.

Paper:    Taguchi et al., BMVC 2024, Eq. 8, Table 1.
Expected: 81.3 % linear probing, 71.2 / 83.0 / 88.3 % fine-tuned on 1 / 10 /
          100 % in the paper (DINO 82.5, 70.9 / 82.8 / 88.3). Not measured by
          this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 SEGMENTS=data/segments.npy \
              PHASE_ONE=epoch.pth tools/dist_train.sh \
              configs/segment_bias/dino_vits16_distill_600e.py 8
"""
_base_ = './dino_vits16_distill_300e.py'

phase_one = '{{$PHASE_ONE:work_dirs/dino_vits16_bias_600e/epoch_600.pth}}'
model = dict(teacher=dict(checkpoint=phase_one))
