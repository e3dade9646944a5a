# Copyright (c) OpenMMLab. All rights reserved.
from .linear_decoder import LinearDecoder
from .mae_decoder import MAEDecoder

__all__ = ['LinearDecoder', 'MAEDecoder']
