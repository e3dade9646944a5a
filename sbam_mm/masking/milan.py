# Copyright (c) OpenMMLab. All rights reserved.
"""MILAN's masker: keep what a teacher attends to."""
from .attention import AttentionSalience
from .maskers import Masker
from .ratio import FixedRatio
from .selection import WeightedOrder


class MILANMasker(Masker):
    """Show the attended patches, drawn by attention, and hide the rest.

    The opposite sign of SBAM, AttMask, AMT and GPA.

    Source: Hou et al., *MILAN: Masked Image Pretraining on Language Assisted
    Representation*, 2022, section 3.3, whose teacher is CLIP's image encoder
    and whose targets are its features. Here it is the masker alone, with any
    teacher.

    The options are those of :class:`AttentionSalience`.
    """

    def __init__(self,
                 ratio: float = 0.75,
                 source: str = 'teacher',
                 block: int = -1,
                 rounding: str = 'floor'):
        super().__init__(
            AttentionSalience(block, source=source),
            FixedRatio(ratio, rounding), WeightedOrder(keep=True))
