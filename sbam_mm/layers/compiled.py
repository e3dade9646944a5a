# Copyright (c) OpenMMLab. All rights reserved.
"""Transformer layers compiled for batches and for packed sequences."""
from collections.abc import Iterator
from contextlib import contextmanager

from mmcv.cnn.bricks import DropPath
from mmpretrain.models.backbones.vision_transformer import (
    TransformerEncoderLayer,
)
from torch import nn

from .block import Block


def compile_layers(model: nn.Module, **options) -> list[nn.Module]:
    """Compile the transformer blocks of a model, in place, and return them.

    A layer that gets a dense batch is compiled as a whole. On a packed
    sequence, whose length changes from step to step, attention runs as it is
    and the feed-forward network, most of the arithmetic, is compiled once
    for all lengths. Layers of equal shape share what is compiled, and names
    of parameters stay as they are.

    Args:
        model (nn.Module): With blocks, or mmpretrain's layers.
        **options: Of ``torch.compile``.

    Example:
        >>> from sbam_mm.models import MaskedViT
        >>> vit = MaskedViT('tiny', img_size=32, patch_size=8)
        >>> len(compile_layers(vit, backend='eager'))
        12
    """
    layers = [
        m for m in model.modules()
        if isinstance(m, (Block, TransformerEncoderLayer))
    ]
    for layer in layers:
        for part in layer.modules():
            # mmpretrain leaves numbers of NumPy there, and a branch on one
            # ends a graph.
            if isinstance(part, DropPath):
                part.drop_prob = float(part.drop_prob)
        layer.compile(**options)
        # The length is a symbol from the start, not from the second on.
        layer.ffn.compile(**{**options, 'dynamic': True})
    return layers


@contextmanager
def plain_layers(model: nn.Module) -> Iterator[None]:
    """For a while, run the compiled modules of a model as they were written.

    Example:
        >>> layer = nn.Identity()
        >>> layer.compile(backend='eager')
        >>> with plain_layers(layer):
        ...     layer(1)  # nothing is compiled
        1
    """
    compiled = {
        module: module._compiled_call_impl
        for module in model.modules() if module._compiled_call_impl is not None
    }
    for module in compiled:
        module._compiled_call_impl = None
    try:
        yield
    finally:
        for module, call in compiled.items():
            module._compiled_call_impl = call
