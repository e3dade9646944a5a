# Copyright (c) OpenMMLab. All rights reserved.
"""Which patches a transformer attends to. Runs on torch alone."""
from .grids import RESAMPLE, on_grid, resized
from .library_vits import (
    Shape,
    attention_on_grid,
    has_class_token,
    hf_shape,
    make_readable,
    run_vit,
    shape_of,
    timm_shape,
)
from .reading import read_attention
from .received import check_queries, received_from, which_block

__all__ = [
    'RESAMPLE', 'Shape', 'attention_on_grid', 'check_queries',
    'has_class_token', 'make_readable',
    'hf_shape', 'on_grid', 'read_attention', 'received_from', 'resized',
    'run_vit', 'shape_of', 'timm_shape', 'which_block'
]
