"""ConvMAE-Small with random masking, 200 epochs: GPA's baseline.

The paper does not give ConvMAE-S: its sizes are those of the ConvMAE authors'
FastConvMAE.

Paper:    Xi et al., GPA, ACM MM 2024, Table 10, ConvMAE-S.
Expected: 80.0 % fine-tuning top-1 in the paper, with
          configs/finetune/convmae_small_100e.py (82.4 with GPA). Not measured
          by this project.
Cost:     not stated in the paper for ConvMAE; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/convmae/convmae_small_200e.py 8
"""
_base_ = './convmae_base_800e.py'

model = dict(backbone=dict(arch='small'), neck=dict(embed_dim=384))

max_epochs = 200
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=160, end=max_epochs)
