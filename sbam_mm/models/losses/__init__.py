# Copyright (c) OpenMMLab. All rights reserved.
from .centring import Centre, TeacherTemperature, target_entropy
from .dino_loss import DINOLoss, PatchLoss
from .koleo import koleo
from .latent import feature_std
from .masked_mean import REDUCTIONS, masked_mean
from .ranking import ranking_loss
from .sinkhorn import sinkhorn_knopp
from .standardize import standardize

__all__ = [
    'Centre', 'DINOLoss', 'PatchLoss', 'REDUCTIONS', 'TeacherTemperature',
    'feature_std', 'koleo', 'masked_mean', 'ranking_loss', 'sinkhorn_knopp',
    'standardize', 'target_entropy'
]
