# Copyright (c) OpenMMLab. All rights reserved.
"""Transformer layers compiled for batches and for packed sequences."""
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmcv.cnn import bricks
from mmpretrain.models.backbones.vision_transformer import (
    TransformerEncoderLayer,
)
from torch import Tensor, nn

from .block import Checkpointed


class DropPath(bricks.DropPath):
    """Stochastic depth whose rate is an input of what is compiled.

    mmcv's is a number in the code, so that every layer, with a rate of its
    own, would be compiled apart: more often than torch allows. Drawn in
    float32, of which bfloat16 would round the rate.

    Example:
        >>> path = DropPath(0.25)
        >>> sorted(set(path(torch.ones(50, 2)).flatten().tolist()))
        [0.0, 1.3333333730697632]
    """

    def __init__(self, drop_prob: float):
        super().__init__(float(drop_prob))
        self.register_buffer('keep', torch.tensor(1 - self.drop_prob),
                             persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        drawn = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device)
        return x * ((self.keep + drawn).floor() / self.keep).to(x.dtype)


def compile_layers(model: nn.Module, **options) -> list[nn.Module]:
    """Compile the transformer blocks of a model, in place, and return them.

    A layer is compiled as a whole, on a packed sequence once for all lengths
    (:meth:`Block.packed`). Where such a sequence attends without the
    variable-length kernel, on the CPU or with a bias or dropout, attention
    runs as it is and the feed-forward network alone is compiled. Layers of
    equal shape share what is compiled, whatever their stochastic depth, and
    names of parameters stay as they are.

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
        if isinstance(m, (Checkpointed, TransformerEncoderLayer))
    ]
    for layer in layers:
        for part in list(layer.modules()):
            for name, child in part.named_children():
                if type(child) is bricks.DropPath:
                    part._modules[name] = compilable(child, layer)
        layer.compile(**options)
        # The length is a symbol from the start, not from the second on.
        layer.ffn.compile(**{**options, 'dynamic': True})
    return layers


def compilable(path: bricks.DropPath, layer: nn.Module) -> nn.Module:
    """Stochastic depth that may differ between layers of one graph."""
    if not path.drop_prob:
        # Nothing is drawn, nor a graph ended by a branch on mmpretrain's
        # number of NumPy.
        return nn.Identity()
    device = next(layer.parameters()).device
    return DropPath(path.drop_prob).to(device).train(path.training)


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
