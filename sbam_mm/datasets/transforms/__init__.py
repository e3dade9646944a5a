# Copyright (c) OpenMMLab. All rights reserved.
from .crop import RandomResizedCrop
from .follow import area_crop, flip_along, nearest_crop, seen_box
from .label_map import LoadLabelMap, read_label_map
from .load_maps import LoadAttentionMap, LoadPartMap, attention_loaders
from .pixel_shift import PixelShift

__all__ = [
    'LoadAttentionMap', 'LoadLabelMap', 'LoadPartMap', 'PixelShift',
    'RandomResizedCrop', 'area_crop', 'attention_loaders', 'flip_along',
    'nearest_crop', 'read_label_map', 'seen_box'
]
