"""MAE, ViT-B/16, 1600 epochs of ImageNet-100: the baseline.

Batch and rates are those of the method on ImageNet-1K: the paper leaves them
to a supplement that is not public.

Paper:    Taguchi et al., SAM Helps SSL: Mask-guided Attention Bias for
          Self-supervised Learning, BMVC 2024, Tables 1, 2, 4 and 5.
Expected: 73.3 % linear probing, 64.8 / 78.5 / 88.1 % fine-tuned on 1 / 10 /
          100 % in the paper. Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_1600e.py 8
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mae_vitb.py',
    '../_base_/datasets/imagenet_224.py',
    '../_base_/schedules/mae_1600e.py',
]

train_dataloader = dict(dataset=dict(classes='imagenet100'))
