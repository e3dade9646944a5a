# Copyright (c) OpenMMLab. All rights reserved.
"""Cut images into segments and store them; one file per back-end.

A back-end is a class whose object takes an image, RGB uint8 (H, W, 3), and
returns ``Masks``. Its constructor's arguments are its settings.
"""
from .felzenszwalb import Felzenszwalb
from .id_map import Masks, check_kept, id_map
from .load_segments import LoadSegments
from .sam import SAM
from .segment_maps import SegmentMaps
from .writer import SegmentWriter

BACKENDS = dict(felzenszwalb=Felzenszwalb, sam=SAM)

__all__ = [
    'BACKENDS', 'Felzenszwalb', 'LoadSegments', 'Masks', 'SAM', 'SegmentMaps',
    'SegmentWriter', 'check_kept', 'id_map'
]
