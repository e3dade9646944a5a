# Copyright (c) OpenMMLab. All rights reserved.
"""Which patches to hide. Knows nothing of any framework or model."""
from .maskers import (
                      SBAM,
                      SBM,
                      BlockMasker,
                      IncomingMasker,
                      Masker,
                      RandomMasker,
)
from .ratio import AdaptiveRatio, FixedRatio, Share
from .salience import AffinitySalience, NoSalience
from .selection import BlockSelection, NoisyTopK
from .types import MaskingContext, TokenMask, check_needs

__all__ = [
    'AdaptiveRatio', 'AffinitySalience', 'BlockMasker', 'BlockSelection',
    'FixedRatio', 'IncomingMasker', 'Masker', 'MaskingContext', 'NoSalience',
    'NoisyTopK', 'RandomMasker', 'SBAM', 'SBM', 'Share', 'TokenMask',
    'check_needs'
]
