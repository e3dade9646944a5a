# Copyright (c) OpenMMLab. All rights reserved.
from .backbones import Latent, MAEViT, MaskedViT, MFFViT
from .heads import PixelHead, patchify, unpatchify
from .losses import masked_mean
from .necks import MAEDecoder
from .selfsup import MAE, MaskedImageModel, Reconstruction

__all__ = [
    'Latent', 'MAE', 'MAEDecoder', 'MAEViT', 'MFFViT', 'MaskedImageModel',
    'MaskedViT', 'PixelHead', 'Reconstruction', 'masked_mean', 'patchify',
    'unpatchify'
]
