# Copyright (c) OpenMMLab. All rights reserved.
from .channel_head import ChannelPixelHead
from .dalle_head import DalleHead
from .dino_head import DINOHead
from .info_nce import InfoNCEHead
from .pixel_head import PixelHead, patchify, unpatchify

__all__ = [
    'ChannelPixelHead', 'DINOHead', 'DalleHead', 'InfoNCEHead', 'PixelHead',
    'patchify', 'unpatchify'
]
