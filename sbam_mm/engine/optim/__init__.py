# Copyright (c) OpenMMLab. All rights reserved.
from .layer_decay import ViTLayerDecayOptimWrapperConstructor, layer_depths

__all__ = ['ViTLayerDecayOptimWrapperConstructor', 'layer_depths']
