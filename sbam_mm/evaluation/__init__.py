# Copyright (c) OpenMMLab. All rights reserved.
"""kNN, probes, and what masks hide of objects."""
# First, for its sentence about a stack that is not there.
import sbam_mm.registry  # noqa: F401
from sbam_mm.models.evaluating import evaluating

from .features import extract_features
from .knn import knn_predict, knn_top1
from .knn_hook import KNNHook
from .linear_probe import PROTOCOL, linear_probe
from .mask_metrics import Estimate, mask_metrics, over_images
from .mask_metrics_hook import MaskMetricsHook
from .object_masks import (
    CocoMasks,
    PngMasks,
    read_object_masks,
    token_coverage,
)

__all__ = [
    'CocoMasks', 'Estimate', 'KNNHook', 'MaskMetricsHook', 'PROTOCOL',
    'PngMasks', 'evaluating', 'extract_features', 'knn_predict', 'knn_top1',
    'linear_probe', 'mask_metrics', 'over_images', 'read_object_masks',
    'token_coverage'
]
