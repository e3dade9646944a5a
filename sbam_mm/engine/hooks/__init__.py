# Copyright (c) OpenMMLab. All rights reserved.
"""Hooks of a training."""
from sbam_mm.moved_names import moved

from .attention_map_hook import AttentionMapHook
from .checkpoint_hook import CheckpointHook
from .checkpoint_keys import CheckpointKeysHook
from .class_names import ClassNamesHook
from .compile_layers import CompileLayersHook
from .dense_data import DenseDataHook
from .epoch_seed import EpochSeedHook
from .fetch_log import FetchLogHook
from .gradients import ClipEachGradientHook, FreezeLastLayerHook
from .invalid_loss import InvalidLossHook
from .load_encoder import LoadEncoderHook
from .progress_bar import ProgressBarHook
from .same_run import SameRunHook

__all__ = [
    'AttentionMapHook', 'CheckpointHook', 'CheckpointKeysHook',
    'ClassNamesHook', 'ClipEachGradientHook', 'CompileLayersHook',
    'DenseDataHook', 'EpochSeedHook', 'FetchLogHook', 'FreezeLastLayerHook',
    'InvalidLossHook', 'LoadEncoderHook', 'ProgressBarHook', 'SameRunHook'
]
__getattr__ = moved(__name__, {
    'KNNHook': 'sbam_mm.evaluation.KNNHook',
})
