"""I-JEPA, ViT-H/14, 300 epochs of ImageNet-1K.

The official settings (configs/in1k_vith14_ep300.yaml of the authors'
repository): 16 GPUs of 128 images, crops of 30 to 100 % and no other
augmentation, momentum 0.996 to 1 on a line. There the encoder has no class
token.

Paper:    Assran et al., Self-Supervised Learning from Images with a
          Joint-Embedding Predictive Architecture, CVPR 2023, Table 1.
Expected: 79.3 % linear top-1 in the paper, on the target encoder's mean patch
          token; not measured by this project.
Cost:     under 72 hours on 16 A100 GPUs in the paper; not measured by this
          project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/ijepa/ijepa_vith14_300e.py 16
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/ijepa_vith14.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/ijepa_300e.py',
]

crop = dict(_base_.train_pipeline[0], crop_ratio_range=(0.3, 1.0))
train_pipeline = [crop, dict(type='PackInputs')]
del crop
train_dataloader = dict(
    batch_size=128, dataset=dict(pipeline=train_pipeline))
