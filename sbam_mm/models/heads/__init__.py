# Copyright (c) OpenMMLab. All rights reserved.
from .channel_head import ChannelPixelHead
from .dalle_head import DalleHead
from .dino_head import DINOHead
from .head import Head, pictures_for
from .info_nce import InfoNCEHead
from .pixel_head import PixelHead, patchify, unpatchify

__all__ = [
    'ChannelPixelHead', 'DINOHead', 'DalleHead', 'Head', 'InfoNCEHead',
    'PixelHead', 'patchify', 'pictures_for', 'unpatchify'
]
