# Copyright (c) OpenMMLab. All rights reserved.
"""Transformer parts that the models share."""
from .attention import (
                        packed_attention,
                        received_attention,
                        relative_block,
                        run_blocks,
                        transformer_block,
)
from .cross_attention import CrossAttention
from .init import truncated_normal, xavier_linear
from .packed_cross import packed_cross_attention
from .packing import PackedLayout
from .position import sincos_position

__all__ = [
    'CrossAttention', 'PackedLayout', 'packed_attention',
    'packed_cross_attention', 'received_attention',
    'relative_block', 'run_blocks', 'sincos_position', 'transformer_block',
    'truncated_normal', 'xavier_linear'
]
