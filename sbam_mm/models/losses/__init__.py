# Copyright (c) OpenMMLab. All rights reserved.
from .masked_mean import masked_mean
from .ranking import ranking_loss
from .standardize import standardize

__all__ = ['masked_mean', 'ranking_loss', 'standardize']
