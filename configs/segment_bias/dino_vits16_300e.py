"""DINO, ViT-S/16, 300 epochs of ImageNet-100: the baseline.

Batch and rates are those of the method on ImageNet-1K: the paper leaves them
to a supplement that is not public. 16 GPUs x 64 images.

Paper:    Taguchi et al., SAM Helps SSL: Mask-guided Attention Bias for
          Self-supervised Learning, BMVC 2024, Table 1.
Expected: 81.9 % linear probing, 68.6 / 82.3 / 88.0 % fine-tuned on 1 / 10 /
          100 % in the paper. Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 tools/dist_train.sh \
              configs/segment_bias/dino_vits16_300e.py 8
"""
_base_ = [
    '../_base_/models/dino_vits.py',
    '../_base_/datasets/multi_crop_224.py',
    '../_base_/schedules/dino_300e.py',
]

train_dataloader = dict(dataset=dict(classes='imagenet100'))
