# Copyright (c) OpenMMLab. All rights reserved.
from .convmae import ConvViT
from .drop_in import MAEViT, MFFViT
from .masked_encoder import MaskedEncoder, Latent
from .masked_beit import MaskedBEiT
from .masked_vit import MaskedViT

__all__ = [
    'ConvViT', 'MaskedEncoder', 'Latent', 'MAEViT', 'MFFViT', 'MaskedBEiT',
    'MaskedViT'
]
