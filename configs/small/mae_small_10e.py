"""The model of `mae_small.py`, for ten epochs of a tenth of its images.

Paper:    none; 32 x 32 images, ViT of 4 blocks, 96 wide, patches of 4.
Expected: not measured by this project.
Cost:     10,000 images of 32 x 32; three to five minutes on one CPU core.
Command:  DATA_ROOT=data/cifar10_1000_500 .venv/bin/python tools/train.py \
              configs/small/mae_small_10e.py
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mae_small.py',
    '../_base_/datasets/small_images.py',
    '../_base_/schedules/small_10e.py',
]

train_dataloader = dict(batch_size=32)
# Minutes long: the last checkpoints will do.
default_hooks = dict(checkpoint=dict(milestones=None))
custom_hooks = _base_.custom_hooks + [
    # A curve to look at, not the final number.
    dict(
        type='sbam_mm.KNNHook',
        bank=_base_.knn_bank,
        query=_base_.knn_query,
        interval=5,
        at_start=True,
        num_train=1000,
        num_test=500),
]
