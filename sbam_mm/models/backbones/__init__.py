# Copyright (c) OpenMMLab. All rights reserved.
from .drop_in import MAEViT, MFFViT
from .masked_vit import Latent, MaskedViT

__all__ = ['Latent', 'MAEViT', 'MFFViT', 'MaskedViT']
