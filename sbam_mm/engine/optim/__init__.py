# Copyright (c) OpenMMLab. All rights reserved.
"""Which parameters decay, and how fast each layer learns."""
from .layer_decay import ViTLayerDecayOptimWrapperConstructor, layer_depths
from .weight_decay import (
    WeightDecayOptimWrapperConstructor,
    spared_parameters,
)

__all__ = [
    'ViTLayerDecayOptimWrapperConstructor',
    'WeightDecayOptimWrapperConstructor', 'layer_depths', 'spared_parameters'
]
