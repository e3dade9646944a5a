# Copyright (c) OpenMMLab. All rights reserved.
"""Segments that guide attention: a guest of the encoders.

The bias (:mod:`.bias`) is an encoder's guide, see
:mod:`sbam_mm.models.guidance`; the second phase distils what was learnt with
it into an encoder without.

Source: Taguchi et al., *SAM Helps SSL: Mask-guided Attention Bias for
Self-supervised Learning*, BMVC 2024.
"""
from .bias import SegmentBias, SegmentRelation, Segments, relations_to
from .distil_dino import DistilDINO, FrozenDINO
from .distil_mae import DistilMAE

__all__ = [
    'DistilDINO', 'DistilMAE', 'FrozenDINO', 'SegmentBias', 'SegmentRelation',
    'Segments', 'relations_to'
]
