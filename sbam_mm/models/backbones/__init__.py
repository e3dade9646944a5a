# Copyright (c) OpenMMLab. All rights reserved.
from sbam_mm.moved_names import moved

from .convmae import ConvViT
from .drop_in import MAEViT, MFFViT
from .masked_beit import MaskedBEiT
from .masked_encoder import Latent, MaskedEncoder
from .masked_vit import MaskedViT
from .register_vit import RegisterViT

__all__ = [
    'ConvViT', 'Latent', 'MAEViT', 'MaskedEncoder', 'MFFViT', 'MaskedBEiT',
    'MaskedViT', 'RegisterViT'
]
__getattr__ = moved(__name__, {
    'HidesPatches': 'sbam_mm.models.backbones.MaskedEncoder',
})
