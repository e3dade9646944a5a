"""A plain ViT-S/8 learns from dino_vits8_bias_300e: the second phase.

As dino_vits16_distill_300e.py, with patches of 8 pixels.

Paper:    Taguchi et al., BMVC 2024, Eq. 8, Table 1.
Expected: 84.2 % linear probing, 69.2 / 84.1 / 89.5 % fine-tuned on 1 / 10 /
          100 % in the paper (DINO 84.9, 70.5 / 83.6 / 89.1). Not measured by
          this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 SEGMENTS=data/segments.npy \
              PHASE_ONE=epoch.pth tools/dist_train.sh \
              configs/segment_bias/dino_vits8_distill_300e.py 8
"""
_base_ = './dino_vits16_distill_300e.py'

phase_one = '{{$PHASE_ONE:work_dirs/dino_vits8_bias_300e/epoch_300.pth}}'
model = dict(
    backbone=dict(patch_size=8),
    teacher=dict(backbone=dict(patch_size=8), checkpoint=phase_one))

train_pipeline = _base_.train_pipeline
for view, grid in zip(train_pipeline[0]['transforms'], (28, 28, 12)):
    view[-1].update(grid=grid)
del view, grid
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
