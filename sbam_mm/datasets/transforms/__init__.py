# Copyright (c) OpenMMLab. All rights reserved.
from .crop import RandomResizedCrop
from .follow import area_crop, flip_along, nearest_crop, seen_box
from .load_maps import LoadAttentionMap, LoadPartMap, attention_loaders
from .pixel_shift import PixelShift

__all__ = [
    'LoadAttentionMap', 'LoadPartMap', 'PixelShift', 'RandomResizedCrop',
    'area_crop', 'attention_loaders', 'flip_along', 'nearest_crop', 'seen_box'
]
