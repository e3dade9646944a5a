# Copyright (c) OpenMMLab. All rights reserved.
from sbam_mm.moved_names import moved

from .alignment import check_alignment
from .any_channels import Resize, ResizeEdge
from .crop import CenterCrop, RandomResizedCrop
from .crop_maps import (
    area_crop,
    flip_map,
    majority_crop,
    nearest_crop,
    seen_box,
)
from .label_map import LoadLabelMap, read_label_map
from .load_crop import LoadRandomResizedCrop
from .load_maps import LoadAttentionMap, LoadPartMap, attention_loaders
from .multi_view import MultiView
from .pack_encoded import EncodedCrop, PackEncoded
from .pixel_shift import PixelShift

__all__ = [
    'CenterCrop', 'LoadAttentionMap', 'LoadLabelMap', 'LoadPartMap',
    'LoadRandomResizedCrop', 'EncodedCrop', 'MultiView', 'PackEncoded',
    'PixelShift', 'RandomResizedCrop',
    'Resize', 'ResizeEdge', 'area_crop',
    'attention_loaders', 'check_alignment', 'flip_map', 'majority_crop',
    'nearest_crop', 'read_label_map', 'seen_box'
]
__getattr__ = moved(__name__, {
    'LoadSegments': 'sbam_mm.segments.LoadSegments',
    'flip_along': 'sbam_mm.datasets.transforms.flip_map',
})
