# Copyright (c) OpenMMLab. All rights reserved.
"""One pass of a teacher over whole images, and what it attended to on it."""
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from mmpretrain.models import VisionTransformer
from torch import Tensor

from sbam_mm.layers import Attend
from sbam_mm.layers.block import block_of

from ..backbones.vit_attention import (
    block_attention,
    input_tokens,
    patch_attention,
    run_whole,
    shared_bias,
)
from ..guidance import attending


class Outcome(NamedTuple):
    """The encoder's output and what entered its last block, (B, E + L, D).

    ``added`` is what feed-forward networks of blocks have added.
    """
    tokens: Tensor
    last_input: Tensor
    added: tuple[Tensor, ...] = ()


class TeacherPass:
    """The teacher's tokens, and its attention without a second pass.

    The blocks run once, at the first question. Attention of the last block,
    which is AttMask's, comes from what entered it: only queries and keys of
    that block are computed again, for the layer itself is fused. Attention
    of an earlier block, as GPA asks for, runs the blocks before it.

    Args:
        vit (VisionTransformer): The teacher's encoder, in eval mode.
        images (Tensor): (B, C, H, W).
        kernels (Sequence[Callable], optional): How each layer attends, see
            :mod:`sbam_mm.models.guidance`. Defaults to None: plainly.
    """

    def __init__(self,
                 vit: VisionTransformer,
                 images: Tensor,
                 kernels: Sequence[Attend] | None = None):
        self.vit = vit
        self.images = images
        self.kernels = kernels

    @cached_property
    def _outcome(self) -> Outcome:
        with torch.no_grad(), attending(self.vit, self.kernels):
            last = len(self.vit.layers) - 1
            x = run_whole(self.vit, input_tokens(self.vit, self.images), last)
            out = run_whole(self.vit, x, last + 1, start=last)
            return Outcome(
                self.vit.ln1(out) if self.vit.final_norm else out, x)

    @property
    def tokens(self) -> Tensor:
        """The encoder's output, class token first, (B, E + L, D)."""
        return self._outcome.tokens

    def attention(self,
                  block: int,
                  queries: str = 'cls',
                  softmax: bool = True,
                  own_query: bool = True) -> Tensor:
        """What patches receive in a block; see :func:`patch_attention`."""
        options = (queries, softmax, own_query)
        with attending(self.vit, self.kernels):
            if block in (-1, len(self.vit.layers) - 1):
                return block_attention(self.vit, self._outcome.last_input,
                                       block, *options)
            return patch_attention(
                self.vit, input_tokens(self.vit, self.images), block, *options)


class FeedForwardPass(TeacherPass):
    """A pass that also keeps what feed-forward networks add to the tokens.

    Args:
        top_k (int): Of how many blocks, the last ones.
    """

    def __init__(self, vit: VisionTransformer, images: Tensor, top_k: int):
        super().__init__(vit, images)
        self.top_k = top_k

    @cached_property
    def _outcome(self) -> Outcome:
        with torch.no_grad():
            first = len(self.vit.layers) - self.top_k
            x = run_whole(
                self.vit, input_tokens(self.vit, self.images), first)
            bias, added = shared_bias(self.vit), []
            for block in map(block_of, self.vit.layers[first:]):
                last_input = x
                x = block.attended(x, bias)
                added.append(block.fed_forward(x))
                x = x + added[-1]
            return Outcome(self.vit.ln1(x) if self.vit.final_norm else x,
                           last_input, tuple(added))

    @property
    def added(self) -> tuple[Tensor, ...]:
        """What each network has added, of all tokens, (B, E + L, D)."""
        return self._outcome.added
