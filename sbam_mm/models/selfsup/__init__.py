# Copyright (c) OpenMMLab. All rights reserved.
from .base import MaskedImageModel
from .convmae import ConvMAE
from .dino import DINO
from .hpm import HPM
from .ibot import iBOT
from .mae import MAE, Reconstruction
from .self_distillation import SelfDistillation
from .simmim import SimMIM

__all__ = [
    'ConvMAE', 'DINO', 'HPM', 'MAE', 'MaskedImageModel', 'Reconstruction',
    'SelfDistillation', 'SimMIM', 'iBOT'
]
