# Copyright (c) OpenMMLab. All rights reserved.
"""The segment bias as FlexAttention's modification of the scores."""
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import torch
from mmengine.utils import digit_version
from torch import Tensor

from sbam_mm.layers import PackedLayout

try:
    from torch.nn.attention.flex_attention import (
        create_block_mask,
        flex_attention,
    )
except ImportError:
    flex_attention = None  # type: ignore[assignment]

# Since then it has gradients for what a modification reads.
WITH_GRADIENTS = digit_version(torch.__version__) >= digit_version('2.6')


def flex_available() -> bool:
    """Whether FlexAttention can train here: it is compiled for CUDA."""
    return (flex_attention is not None and WITH_GRADIENTS
            and torch.cuda.is_available())


@cache
def _compiled(function: Callable) -> Callable:
    # Lengths change from step to step.
    return torch.compile(function, dynamic=True)


class SegmentBlocks:
    """Packed tokens, of ids int64 (T,), as FlexAttention takes them.

    Images of equal length are a batch; others one long sequence, of which
    blocks without two tokens of one image are skipped.
    """

    def __init__(self, ids: Tensor, layout: PackedLayout):
        self.rows = layout.batch_size if layout.uniform else 1
        self.ids = ids.view(self.rows, -1)
        self.layout = layout

    def dense(self, x: Tensor) -> Tensor:
        """(T, heads, d) -> (rows, heads, n, d)."""
        return x.unflatten(0, (self.rows, -1)).transpose(1, 2)

    @cached_property
    def mask(self) -> Any | None:
        """Which tokens are of one image; None where rows are images."""
        if self.rows == self.layout.batch_size:
            return None
        device = self.ids.device
        image = torch.arange(
            self.layout.batch_size, device=device).repeat_interleave(
                self.layout.cu_seqlens.diff(),
                output_size=self.ids.shape[1])

        def same_image(batch: Tensor, head: Tensor, i: Tensor,
                       j: Tensor) -> Tensor:
            return image[i] == image[j]

        length = self.ids.shape[1]
        return create_block_mask(
            same_image, None, None, length, length, device=str(device))


def flex_segment_attention(q: Tensor, k: Tensor, v: Tensor, u_pos: Tensor,
                           u_neg: Tensor, blocks: SegmentBlocks) -> Tensor:
    """Attention of (T, heads, d) with the bias of Eqs. 4 and 5, compiled.

    Outside CUDA FlexAttention runs uncompiled, with gradients for u_pos and
    u_neg, (heads,), alone, which serves to compare.
    """
    ids = blocks.ids
    # Scores come divided by sqrt(d) already.
    pos, neg = (u.float() * q.shape[2]**-0.5 for u in (u_pos, u_neg))

    def add_bias(score: Tensor, batch: Tensor, head: Tensor, i: Tensor,
                 j: Tensor) -> Tensor:
        first, second = ids[batch, i], ids[batch, j]
        related = torch.where(first == second, pos[head], neg[head])
        return score + torch.where((first > 0) & (second > 0), related, 0.)

    run = _compiled(flex_attention) if q.is_cuda else flex_attention
    out = run(
        blocks.dense(q),
        blocks.dense(k),
        blocks.dense(v),
        score_mod=add_bias,
        block_mask=blocks.mask)
    assert isinstance(out, Tensor)  # a tuple only if asked for
    return out.transpose(1, 2).flatten(0, 1)
