# Copyright (c) OpenMMLab. All rights reserved.
"""Which patches to hide. Knows nothing of any framework or model."""
from .amt import AM, AMT, RandomThrow
from .attention import AttentionSalience, join_heads
from .attmask import AttMask, HintTopK
from .automae import Bump
from .bootmae import BlocksAndTokens, BootMAEMasker
from .colormae import ColorMAEMasker, FilteredNoise
from .curriculum import CurriculumMasker
from .gpa import GPA
from .hpm import HPMMasker
from .ijepa import IJEPAMasker, MultiBlockSelection
from .inverse_blocks import InverseBlockMasker, InverseBlockSelection
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
from .milan import MILANMasker
from .ratio import AdaptiveRatio, FixedRatio, Share
from .salience import (
    AffinitySalience,
    CentreSalience,
    NoSalience,
    PredictedLoss,
    StoredSalience,
)
from .schedule import EasyToHard, SoftToHard
from .selection import Choice, NoisyTopK, WeightedOrder
from .self_guided import ClusterSalience, SelfGuidedMasker, TopWithHints
from .semmae import PartwiseSelection, SemMAEMasker
from .shapes import BlockSelection, GridSelection, UniformSelection
from .some_views import IBOTMasker, MaskSomeViews
from .types import MaskingContext, TokenMask, check_needs
from .varied_ratio import RandomRatio, ScheduledRatio

__all__ = [
    'AM', 'AMT', 'AdaptiveRatio', 'AffinitySalience', 'AttMask',
    'AttentionSalience', 'BlockMasker', 'BlockSelection',
    'BlocksAndTokens', 'BootMAEMasker', 'Bump', 'CentreSalience', 'Choice',
    'ClusterSalience', 'ColorMAEMasker', 'CurriculumMasker', 'EasyToHard',
    'FilteredNoise', 'FixedRatio', 'GPA', 'GridMasker', 'GridSelection',
    'HPMMasker', 'HintTopK', 'IBOTMasker', 'IJEPAMasker', 'IncomingMasker',
    'InverseBlockMasker', 'InverseBlockSelection', 'MILANMasker',
    'MaskSomeViews', 'Masker', 'MaskingContext', 'MultiBlockSelection',
    'NoSalience', 'NoisyTopK', 'PartwiseSelection', 'PredictedLoss',
    'RandomMasker', 'RandomRatio', 'RandomRatioMasker', 'RandomThrow',
    'SBAM', 'SBM', 'ScheduledRatio', 'SelfGuidedMasker', 'SemMAEMasker',
    'Share', 'SoftToHard', 'StoredSalience', 'TokenMask', 'TopWithHints',
    'UniformMasker', 'UniformSelection', 'WeightedOrder', 'check_needs',
    'join_heads'
]
