# Copyright (c) OpenMMLab. All rights reserved.
"""Pre-trained encoders in segmentors and detectors.

Nothing here imports mmseg or mmdet: their configs name our types with the
prefix ``sbam_mm.``.
"""
# First, for its sentence about a stack that is not there.
import sbam_mm.registry  # noqa: F401
from sbam_mm.models.pretrained_encoder import encoder_weights, load_encoder

from .dense_vit import DenseViT, RelativeViT
from .simple_fpn import SimpleFPN
from .vitdet import ViTDet

__all__ = [
    'DenseViT', 'RelativeViT', 'SimpleFPN', 'ViTDet', 'encoder_weights',
    'load_encoder'
]
