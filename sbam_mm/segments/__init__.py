# Copyright (c) OpenMMLab. All rights reserved.
"""Segments that guide attention.

The bias (:mod:`.bias`) is an encoder's guide, see
:mod:`sbam_mm.models.guidance`; the second phase distils what was learnt with
it into an encoder without. :mod:`.maps` cuts images into segments, stores
them and brings them along with the images; :mod:`.figures` shows what they
did.

Source: Taguchi et al., *SAM Helps SSL: Mask-guided Attention Bias for
Self-supervised Learning*, BMVC 2024.
"""
from .bias import SegmentBias, SegmentRelation, Segments, relations_to
from .distil_dino import DistilDINO, FrozenDINO
from .distil_mae import DistilMAE
from .maps import SAM, Felzenszwalb, LoadSegments, SegmentMaps, SegmentWriter

__all__ = [
    'DistilDINO', 'DistilMAE', 'Felzenszwalb', 'FrozenDINO', 'LoadSegments',
    'SAM', 'SegmentBias', 'SegmentMaps', 'SegmentRelation', 'SegmentWriter',
    'Segments', 'relations_to'
]
