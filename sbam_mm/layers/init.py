# Copyright (c) OpenMMLab. All rights reserved.
"""Initialisations of the official codes."""
from torch import nn


def xavier_linear(module: nn.Module) -> None:
    """Xavier-uniform weights and zero biases for every linear layer inside.

    mmpretrain leaves the attention's projections at torch's default; the
    official MAE initialises all linear layers alike, q, k and v as one
    matrix.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def truncated_normal(module: nn.Module, std: float = .02) -> None:
    """Truncated-normal weights and zero biases for every linear layer inside.

    Of DINO, iBOT and SimMIM.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
