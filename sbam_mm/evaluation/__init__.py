# Copyright (c) OpenMMLab. All rights reserved.
from .features import evaluating, extract_features
from .knn import knn_predict, knn_top1
from .linear_probe import PROTOCOL, linear_probe

__all__ = [
    'PROTOCOL', 'evaluating', 'extract_features', 'knn_predict', 'knn_top1',
    'linear_probe'
]
