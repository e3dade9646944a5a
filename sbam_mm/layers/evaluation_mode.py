# Copyright (c) OpenMMLab. All rights reserved.
"""Dropout and stochastic depth switched off for a while."""
from collections.abc import Iterator
from contextlib import contextmanager

from mmcv.cnn.bricks import DropPath
from torch import nn


def draws(module: nn.Module) -> bool:
    """Whether a module draws random numbers in training."""
    if isinstance(module, DropPath):
        return module.drop_prob > 0
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    rate = getattr(module, 'attn_drop', 0.)
    return isinstance(rate, float) and rate > 0


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout and stochastic depth off, as in evaluation.

    Only modules that would draw change their mode, so that nothing at all
    changes where there are none, compiled layers included.

    Example:
        >>> layer = nn.Dropout(0.5)
        >>> with evaluation_mode(layer):
        ...     layer.training
        False
    """
    drawing = [
        module for module in model.modules()
        if module.training and draws(module)
    ]
    for module in drawing:
        module.training = False
    try:
        yield
    finally:
        for module in drawing:
            module.training = True
