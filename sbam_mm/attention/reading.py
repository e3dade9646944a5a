# Copyright (c) OpenMMLab. All rights reserved.
"""The attention of a ViT whose architecture is another library's code."""
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sbam_mm.errors import UserError

from .received import received_from


class AttentionCall(NamedTuple):
    """What a layer gave to PyTorch's attention, q and k (B, heads, N, d)."""
    q: Tensor
    k: Tensor
    bias: Tensor | None
    scale: float


class Reached(Exception):
    """The layer that was asked for attends; nothing after it is wanted."""


class StopAtAttention(TorchFunctionMode):
    """While it lasts, the pass ends where a block attends, and q, k are kept.

    Queries and keys are those that the fused kernel would get: normalised,
    rotated, and with the bias that the architecture adds. The blocks before
    keep their fused attention.
    """

    def __init__(self, block: int):
        super().__init__()
        self.blocks_left = block
        self.call: AttentionCall | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            if not self.blocks_left:
                self.call = attention_call(*args, **(kwargs or {}))
                raise Reached
            self.blocks_left -= 1
        return func(*args, **(kwargs or {}))


def attention_call(query: Tensor,
                   key: Tensor,
                   value: Tensor,
                   attn_mask: Tensor | None = None,
                   dropout_p: float = 0.,
                   is_causal: bool = False,
                   scale: float | None = None,
                   enable_gqa: bool = False) -> AttentionCall:
    """The arguments of ``scaled_dot_product_attention``, by its names."""
    if attn_mask is not None and not attn_mask.is_floating_point():
        attn_mask = query.new_zeros(attn_mask.shape).masked_fill(
            ~attn_mask, -torch.inf)
    return AttentionCall(
        query, key, attn_mask,
        query.shape[-1]**-0.5 if scale is None else scale)


def read_attention(run: Callable[[Tensor], Any],
                   images: Tensor,
                   patch: tuple[int, int],
                   block: int,
                   queries: str = 'cls',
                   softmax: bool = True,
                   own_query: bool = True,
                   name: str = 'the model') -> tuple[Tensor, tuple[int, int]]:
    """Attention that patches receive in one block of any ViT.

    Args:
        run (Callable): One pass of the model over images.
        images (Tensor): (B, C, H, W), as the model sees them.
        patch (tuple[int, int]): Height and width of its patches in pixels.
        block (int): From 0.
        queries, softmax, own_query: As of :func:`received_from`.
        name (str): Of the model, for messages.

    Returns:
        tuple[Tensor, tuple[int, int]]: float32 (B, heads, h * w), and (h, w).

    Raises:
        UserError: If its patches do not all attend to one another.
    """
    stop = StopAtAttention(block)
    try:
        with stop:
            run(images)
    except Reached:
        pass
    grid = images.shape[2] // patch[0], images.shape[3] // patch[1]
    call = stop.call
    extra = -1 if call is None else call.k.shape[2] - grid[0] * grid[1]
    if (call is None or extra < 0 or call.q.shape != call.k.shape
            or len(call.q) != len(images)):
        raise UserError(
            f'{name} is no plain Vision Transformer, whose patches all '
            'attend to one another; name one that is.')
    q, k = (part.float().transpose(1, 2) for part in (call.q, call.k))
    received = received_from(q * call.scale, k, queries, softmax, own_query,
                             call.bias, extra)
    return received[..., extra:], grid
