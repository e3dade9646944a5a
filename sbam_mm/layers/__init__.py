# Copyright (c) OpenMMLab. All rights reserved.
"""Transformer parts that the models share."""
from .attention import (
                        Attend,
                        attention_dropout,
                        packed_attention,
                        received_attention,
                        relative_block,
                        run_blocks,
                        transformer_block,
)
from .beit_layers import beit_layer_cfgs
from .block_at import block_at
from .checkpointing import recompute
from .cross_attention import CrossAttention
from .decomposed import decomposed_attention, relative_rows
from .evaluation_mode import evaluation_mode
from .init import truncated_normal, xavier_linear
from .packed_cross import packed_cross_attention
from .packing import PackedLayout
from .position import sincos_position
from .recorded import RecordedAttention
from .segment_bias import SegmentBias, SegmentRelation, Segments
from .windows import from_windows, to_windows

__all__ = [
    'Attend', 'CrossAttention', 'PackedLayout', 'RecordedAttention',
    'SegmentBias', 'SegmentRelation', 'Segments', 'attention_dropout',
    'beit_layer_cfgs', 'block_at', 'decomposed_attention', 'evaluation_mode',
    'from_windows', 'packed_attention',
    'packed_cross_attention', 'received_attention', 'recompute',
    'relative_block', 'relative_rows', 'run_blocks', 'sincos_position',
    'to_windows', 'transformer_block', 'truncated_normal', 'xavier_linear'
]
