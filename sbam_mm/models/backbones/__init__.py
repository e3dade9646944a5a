# Copyright (c) OpenMMLab. All rights reserved.
from .convmae import ConvViT
from .drop_in import MAEViT, MFFViT
from .masked_beit import MaskedBEiT
from .masked_encoder import Latent, MaskedEncoder
from .masked_vit import MaskedViT

__all__ = [
    'ConvViT', 'Latent', 'MAEViT', 'MaskedEncoder', 'MFFViT', 'MaskedBEiT',
    'MaskedViT'
]
