# Copyright (c) OpenMMLab. All rights reserved.
from .backbones import ConvViT, Latent, MAEViT, MaskedBEiT, MaskedViT, MFFViT
from .heads import DINOHead, PixelHead, patchify, unpatchify
from .losses import masked_mean
from .necks import LinearDecoder, MAEDecoder
from .selfsup import (
    DINO,
    MAE,
    ConvMAE,
    MaskedImageModel,
    Reconstruction,
    SelfDistillation,
    SimMIM,
    iBOT,
)

__all__ = [
    'ConvMAE', 'ConvViT', 'DINO', 'DINOHead', 'Latent', 'LinearDecoder', 'MAE',
    'MAEDecoder', 'MAEViT', 'MFFViT', 'MaskedBEiT', 'MaskedImageModel',
    'MaskedViT', 'PixelHead', 'Reconstruction', 'SelfDistillation', 'SimMIM',
    'iBOT', 'masked_mean', 'patchify', 'unpatchify'
]
