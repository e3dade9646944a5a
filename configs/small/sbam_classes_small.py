"""SBAM on small images, as one of mmengine's pure-Python configs.

Bases are imported, a value is reached with dots, and `type` is a class, which
an editor finds. Read by the tools, it is the same config as sbam_small.py.

Paper:    none; the method of Choi et al., ECCV 2024, with its defaults.
Expected: see the table in README.md.
Cost:     about a minute per epoch of 50,000 images on two CPU cores.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python \
              tools/train.py configs/small/sbam_classes_small.py
"""
from mmengine.config import read_base

with read_base():
    from .._base_.datasets.small_images import *
    from .._base_.default_runtime import *
    from .._base_.schedules.small_4e import *

from mmpretrain.models import SelfSupDataPreprocessor

from sbam_mm.evaluation import KNNHook
from sbam_mm.masking import SBAM
from sbam_mm.models import MAE, MAEDecoder, MaskedViT, PixelHead

size = dict(img_size=32, patch_size=4)

model = dict(
    type=MAE,
    data_preprocessor=dict(
        type=SelfSupDataPreprocessor,
        mean=[125.3, 123.0, 113.9],
        std=[63.0, 62.1, 66.7],
        to_rgb=True),
    backbone=dict(
        type=MaskedViT,
        arch=dict(
            embed_dims=96,
            num_layers=4,
            num_heads=3,
            feedforward_channels=384),
        **size),
    masker=dict(
        type=SBAM,
        ratio=0.75,
        delta_r=0.15,
        delta=0.1,
        noise=0.5,
        scope='sample'),
    neck=dict(
        type=MAEDecoder,
        embed_dim=96,
        decoder_embed_dim=48,
        decoder_depth=1,
        decoder_num_heads=3,
        **size),
    head=dict(type=PixelHead, patch_size=4, norm_pix=True))

# Minutes long: the last checkpoints will do.
default_hooks.checkpoint.milestones = None
custom_hooks.append(
    dict(
        type=KNNHook,
        bank=knn_bank,
        query=knn_query,
        at_start=True,
        num_train=5000,
        num_test=1000))
