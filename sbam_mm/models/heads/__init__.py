# Copyright (c) OpenMMLab. All rights reserved.
from .channel_head import ChannelPixelHead
from .dino_head import DINOHead
from .info_nce import InfoNCEHead
from .pixel_head import PixelHead, patchify, unpatchify

__all__ = [
    'ChannelPixelHead', 'DINOHead', 'InfoNCEHead', 'PixelHead', 'patchify',
    'unpatchify'
]
