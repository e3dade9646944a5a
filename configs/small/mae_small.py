"""MAE with random masking on small images: the baseline of `make quickstart`.

Paper:    none; 32 x 32 images, ViT of 4 blocks, 96 wide, patches of 4.
Expected: see the table in README.md.
Cost:     about a minute per epoch of 50,000 images on two CPU cores.
Command:  DATA_ROOT=data/cifar10 \
              .venv/bin/python tools/train.py configs/small/mae_small.py
"""
_base_ = '../_base_/small_images.py'
