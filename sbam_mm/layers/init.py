# Copyright (c) OpenMMLab. All rights reserved.
"""Initialisations of the official codes."""
from collections.abc import Callable
from functools import partial

from torch import nn


def init_linear(module: nn.Module, draw: Callable) -> None:
    """Draw the weights of all linear layers inside; their biases are zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def xavier_linear(module: nn.Module) -> None:
    """MAE's for linear layers: q, k and v are drawn as one matrix."""
    init_linear(module, nn.init.xavier_uniform_)


def truncated_normal(module: nn.Module, std: float = .02) -> None:
    """That of DINO, iBOT and SimMIM for linear layers."""
    init_linear(module, partial(nn.init.trunc_normal_, std=std))


def xavier_patches(projection: nn.Conv2d) -> None:
    """MAE's for the convolution that embeds patches: as a linear layer."""
    weight = projection.weight.data
    nn.init.xavier_uniform_(weight.view(len(weight), -1))
