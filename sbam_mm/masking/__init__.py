# Copyright (c) OpenMMLab. All rights reserved.
"""Which patches to hide. Knows nothing of any framework or model."""
from .attention import AttentionSalience
from .hints import HintTopK
from .maskers import (
    SBAM,
    SBM,
    BlockMasker,
    GridMasker,
    IncomingMasker,
    Masker,
    RandomMasker,
    RandomRatioMasker,
    UniformMasker,
)
from .ratio import AdaptiveRatio, FixedRatio, Share
from .salience import AffinitySalience, NoSalience
from .schedule import EasyToHard, SoftToHard
from .selection import Choice, NoisyTopK, WeightedOrder
from .shapes import BlockSelection, GridSelection, UniformSelection
from .types import MaskingContext, TokenMask, check_needs
from .varied_ratio import RandomRatio, ScheduledRatio

__all__ = [
    'AdaptiveRatio', 'AffinitySalience', 'AttentionSalience', 'BlockMasker',
    'BlockSelection',
    'Choice', 'EasyToHard', 'FixedRatio', 'GridMasker', 'GridSelection',
    'HintTopK', 'IncomingMasker', 'Masker', 'MaskingContext', 'NoSalience',
    'NoisyTopK', 'RandomMasker', 'RandomRatio', 'RandomRatioMasker', 'SBAM',
    'SBM', 'ScheduledRatio', 'Share', 'SoftToHard', 'TokenMask',
    'UniformMasker', 'UniformSelection', 'WeightedOrder', 'check_needs'
]
