"""DINO guided by segments, ViT-S/8, 300 epochs: the first phase.

As dino_vits16_bias_300e.py.

Paper:    Taguchi et al., BMVC 2024, Table 1.
Expected: not in the paper, which gives the second phase. Not measured by this
          project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/dino_vits8_bias_300e.py 8
"""
_base_ = './dino_vits16_bias_300e.py'

model = dict(backbone=dict(patch_size=8))

train_pipeline = _base_.train_pipeline
for view, grid in zip(train_pipeline[0]['transforms'], (28, 28, 12)):
    view[-1].update(grid=grid)
del view, grid
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
