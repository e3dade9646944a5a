# Copyright (c) OpenMMLab. All rights reserved.
from .convmae import ConvViT
from .drop_in import MAEViT, MFFViT
from .hides_patches import HidesPatches, Latent
from .masked_beit import MaskedBEiT
from .masked_vit import MaskedViT

__all__ = [
    'ConvViT', 'HidesPatches', 'Latent', 'MAEViT', 'MFFViT', 'MaskedBEiT',
    'MaskedViT'
]
