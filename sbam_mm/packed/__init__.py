# Copyright (c) OpenMMLab. All rights reserved.
"""Images of unequal lengths in one sequence. Runs on torch alone."""
from .attention import (
    Attend,
    attend_spans,
    check_order,
    packed_attention,
    runs_varlen,
)
from .layout import Latent, PackedLayout, Spans, kept_places

__all__ = [
    'Attend', 'Latent', 'PackedLayout', 'Spans', 'attend_spans',
    'check_order', 'kept_places', 'packed_attention', 'runs_varlen'
]
