# Copyright (c) OpenMMLab. All rights reserved.
from .dino_head import DINOHead
from .pixel_head import PixelHead, patchify, unpatchify

__all__ = [
    'DINOHead', 'PixelHead', 'patchify', 'unpatchify'
]
