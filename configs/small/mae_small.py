"""MAE with random masking on small images: the baseline of `make quickstart`.

`--masker NAME` puts any other masker, and what it needs, in the place of the
random one, here and in every other config with a masker, e.g. `--masker sbam`.

Paper:    none; 32 x 32 images, ViT of 4 blocks, 96 wide, patches of 4.
Expected: see the table in README.md.
Cost:     about a minute per epoch of 50,000 images on two CPU cores.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/mae_small.py
"""
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/mae_small.py',
    '../_base_/datasets/small_images.py',
    '../_base_/schedules/small_4e.py',
]

# Minutes long: the last checkpoints will do.
default_hooks = dict(checkpoint=dict(milestones=None))
custom_hooks = _base_.custom_hooks + [
    # A small bank and few queries: a curve to look at, not the final number.
    dict(
        type='sbam_mm.KNNHook',
        bank=_base_.knn_bank,
        query=_base_.knn_query,
        at_start=True,
        num_train=5000,
        num_test=1000),
]
