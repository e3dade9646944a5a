# Copyright (c) OpenMMLab. All rights reserved.
"""Folders of images, image sets in memory, and transforms."""
# First, for its sentence about a stack that is not there.
import sbam_mm.registry  # noqa: F401
from sbam_mm.moved_names import moved

from .collate import flat_collate, whole_batch
from .image_folder import ImageFolder, UnreadableImagesError
from .on_device import ImagesOnDevice
from .reading.decoding import EncodedImage, decode_image
from .reading.stored_maps import (
    ImageList,
    MapVersions,
    StoredMaps,
    save_maps,
)
from .sources import ImageSource, find_image_source
from .torchvision_images import TorchvisionImages
from .transforms import (
    CenterCrop,
    LoadAttentionMap,
    LoadLabelMap,
    LoadPartMap,
    LoadRandomResizedCrop,
    MultiView,
    PackEncoded,
    PixelShift,
    RandomResizedCrop,
    Resize,
    ResizeEdge,
)
from .whole_steps import WholeSteps

__all__ = [
    'CenterCrop', 'ImageList', 'EncodedImage', 'ImageFolder', 'ImageSource',
    'ImagesOnDevice', 'LoadAttentionMap', 'LoadLabelMap', 'LoadPartMap',
    'LoadRandomResizedCrop', 'MapVersions', 'MultiView', 'PackEncoded',
    'PixelShift', 'RandomResizedCrop', 'Resize', 'ResizeEdge', 'StoredMaps',
    'TorchvisionImages', 'UnreadableImagesError', 'WholeSteps',
    'decode_image', 'find_image_source', 'flat_collate', 'save_maps',
    'whole_batch'
]
__getattr__ = moved(__name__, {
    'DatasetMark': 'sbam_mm.datasets.ImageList',
    'Felzenszwalb': 'sbam_mm.segments.Felzenszwalb',
    'LoadSegments': 'sbam_mm.segments.LoadSegments',
    'SAM': 'sbam_mm.segments.SAM',
    'SegmentMaps': 'sbam_mm.segments.SegmentMaps',
    'SegmentWriter': 'sbam_mm.segments.SegmentWriter',
})
