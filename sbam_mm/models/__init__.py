# Copyright (c) OpenMMLab. All rights reserved.
from .backbones import ConvViT, Latent, MAEViT, MaskedBEiT, MaskedViT, MFFViT
from .heads import PixelHead, patchify, unpatchify
from .losses import masked_mean
from .necks import LinearDecoder, MAEDecoder
from .selfsup import MAE, ConvMAE, MaskedImageModel, Reconstruction, SimMIM

__all__ = [
    'ConvMAE', 'ConvViT', 'Latent', 'LinearDecoder', 'MAE', 'MAEDecoder',
    'MAEViT', 'MFFViT', 'MaskedBEiT', 'MaskedImageModel', 'MaskedViT',
    'PixelHead', 'Reconstruction', 'SimMIM', 'masked_mean', 'patchify',
    'unpatchify'
]
