# Copyright (c) OpenMMLab. All rights reserved.
from .masked_mean import masked_mean

__all__ = ['masked_mean']
