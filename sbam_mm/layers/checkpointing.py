# Copyright (c) OpenMMLab. All rights reserved.
"""Activation checkpointing: time for memory.

A block keeps what enters it and computes the rest again in the backward
pass (Chen et al., *Training Deep Nets with Sublinear Memory Cost*, 2016).
"""
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Recomputed(nn.Module):
    """Mixed into the class of layers that keep their input only."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return keep_input(super().forward, *args, **kwargs)


def keep_input(function: Callable[..., Tensor], *args: Any,
               **kwargs: Any) -> Tensor:
    """``function(*args)``, computed again for its gradients if there are any.

    Random numbers, of dropped paths for example, are the same again.
    """
    if not torch.is_grad_enabled():
        return function(*args, **kwargs)
    return checkpoint(function, *args, use_reentrant=False, **kwargs)


@cache
def recomputed_class(kind: type) -> type:
    """The same class of layers, but :class:`Recomputed`."""
    return type(kind.__name__, (Recomputed, kind), {})


def recompute(layers: Iterable[nn.Module]) -> None:
    """Let layers keep what enters them, and compute the rest again.

    Parameters, their names and all results stay. It holds for the layers'
    own ``forward`` and for functions that are :func:`recomputable`.

    Args:
        layers (Iterable[nn.Module]): Changed in place; copies of them do
            the same.

    Example:
        >>> layer = nn.Sequential(nn.Linear(2, 8), nn.GELU(), nn.Linear(8, 2))
        >>> x = torch.randn(4, 2, requires_grad=True)
        >>> expected = layer(x)
        >>> recompute([layer])
        >>> torch.equal(layer(x), expected)
        True
    """
    for layer in layers:
        # The class and not the instance's forward, which a deep copy would
        # share with its original.
        kind: Any = type(layer)
        layer.__class__ = recomputed_class(kind)


def recomputable(block: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorate a function that runs a layer other than by its forward.

    Args:
        block (Callable): (layer, x, ...) -> Tensor.
    """

    @wraps(block)
    def run(layer: nn.Module, *args: Any) -> Tensor:
        if isinstance(layer, Recomputed):
            return keep_input(block, layer, *args)
        return block(layer, *args)

    return run
