# Copyright (c) OpenMMLab. All rights reserved.
from .image_folder import ImageFolder, UnreadableImagesError, decode_image
from .sources import ImageSource, find_image_source

__all__ = [
    'ImageFolder', 'ImageSource', 'UnreadableImagesError', 'decode_image',
    'find_image_source'
]
