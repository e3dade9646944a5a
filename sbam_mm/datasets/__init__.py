# Copyright (c) OpenMMLab. All rights reserved.
from .image_folder import ImageFolder, UnreadableImagesError, decode_image
from .sources import ImageSource, find_image_source
from .stored_maps import DatasetMark, MapVersions, StoredMaps, save_maps
from .torchvision_images import TorchvisionImages
from .transforms import (
    LoadAttentionMap,
    LoadPartMap,
    PixelShift,
    RandomResizedCrop,
)

__all__ = [
    'DatasetMark', 'ImageFolder', 'ImageSource', 'LoadAttentionMap',
    'LoadPartMap', 'MapVersions', 'PixelShift', 'RandomResizedCrop',
    'StoredMaps', 'TorchvisionImages', 'UnreadableImagesError', 'decode_image',
    'find_image_source', 'save_maps'
]
