# Copyright (c) OpenMMLab. All rights reserved.
from .mae_decoder import MAEDecoder

__all__ = ['MAEDecoder']
