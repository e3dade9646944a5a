# Copyright (c) OpenMMLab. All rights reserved.
from .pixel_head import PixelHead, patchify, unpatchify

__all__ = ['PixelHead', 'patchify', 'unpatchify']
