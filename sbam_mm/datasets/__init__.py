# Copyright (c) OpenMMLab. All rights reserved.
from .collate import flat_collate, whole_batch
from .decoding import EncodedImage, decode_image
from .image_folder import ImageFolder, UnreadableImagesError
from .on_device import ImagesOnDevice
from .sources import ImageSource, find_image_source
from .stored_maps import DatasetMark, MapVersions, StoredMaps, save_maps
from .torchvision_images import TorchvisionImages
from .transforms import (
    LoadAttentionMap,
    LoadPartMap,
    LoadRandomResizedCrop,
    PixelShift,
    RandomResizedCrop,
)

__all__ = [
    'DatasetMark', 'EncodedImage', 'ImageFolder', 'ImageSource',
    'ImagesOnDevice', 'LoadAttentionMap', 'LoadPartMap',
    'LoadRandomResizedCrop', 'MapVersions', 'PixelShift',
    'RandomResizedCrop', 'StoredMaps', 'TorchvisionImages',
    'UnreadableImagesError', 'decode_image', 'find_image_source',
    'flat_collate', 'save_maps', 'whole_batch'
]
