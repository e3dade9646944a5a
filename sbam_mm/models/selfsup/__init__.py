# Copyright (c) OpenMMLab. All rights reserved.
from .base import MaskedImageModel
from .mae import MAE, Reconstruction
from .simmim import SimMIM

__all__ = ['MAE', 'MaskedImageModel', 'Reconstruction', 'SimMIM']
