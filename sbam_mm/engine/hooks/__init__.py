# Copyright (c) OpenMMLab. All rights reserved.
from .epoch_seed import EpochSeedHook
from .progress_bar import ProgressBarHook

__all__ = ['EpochSeedHook', 'ProgressBarHook']
