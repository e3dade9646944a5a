# Copyright (c) OpenMMLab. All rights reserved.
from .centring import Centre, TeacherTemperature, target_entropy
from .dino_loss import DINOLoss, PatchLoss
from .latent import feature_std
from .masked_mean import REDUCTIONS, masked_mean
from .ranking import ranking_loss
from .standardize import standardize

__all__ = [
    'Centre', 'DINOLoss', 'PatchLoss', 'REDUCTIONS', 'TeacherTemperature',
    'feature_std', 'masked_mean', 'ranking_loss', 'standardize',
    'target_entropy'
]
