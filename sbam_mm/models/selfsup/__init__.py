# Copyright (c) OpenMMLab. All rights reserved.
from .base import MaskedImageModel
from .mae import MAE, Reconstruction

__all__ = ['MAE', 'MaskedImageModel', 'Reconstruction']
