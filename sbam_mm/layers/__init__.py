# Copyright (c) OpenMMLab. All rights reserved.
"""Transformer parts that the models share."""
# First, for its sentence about a stack that is not there.
import sbam_mm.registry  # noqa: F401
from sbam_mm.moved_names import moved
from sbam_mm.packed import Attend, PackedLayout, Spans, packed_attention

from .attention import Attention, CrossAttention
from .beit_layers import beit_layer_cfgs
from .block import (
    Block,
    Checkpointed,
    attends_at_once,
    blocks_of,
    plain_layer,
    run_blocks,
)
from .decomposed import decomposed_attention, relative_rows
from .evaluation_mode import evaluation_mode
from .init import truncated_normal, xavier_linear, xavier_patches
from .position import sincos_position
from .received_attention import received_attention
from .recorded import RecordedAttention
from .residual import as_residual, set_residual_dtype
from .windows import from_windows, to_windows

__all__ = [
    'Attend', 'Attention', 'Block', 'Checkpointed', 'CrossAttention',
    'PackedLayout', 'RecordedAttention', 'Spans', 'as_residual',
    'attends_at_once', 'beit_layer_cfgs', 'blocks_of', 'decomposed_attention',
    'evaluation_mode', 'from_windows', 'packed_attention',
    'plain_layer', 'received_attention', 'relative_rows', 'run_blocks',
    'set_residual_dtype', 'sincos_position', 'to_windows', 'truncated_normal',
    'xavier_linear', 'xavier_patches'
]
__getattr__ = moved(__name__, {
    'SegmentBias': 'sbam_mm.segments.SegmentBias',
    'SegmentRelation': 'sbam_mm.segments.SegmentRelation',
    'Segments': 'sbam_mm.segments.Segments',
})
