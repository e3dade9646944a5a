# Copyright (c) OpenMMLab. All rights reserved.
"""Attention of any of mmpretrain's Vision Transformers, fused or not."""

import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from sbam_mm.attention import check_queries, which_block
from sbam_mm.layers import (
    PackedLayout,
    as_residual,
    evaluation_mode,
    received_attention,
    run_blocks,
)


def input_tokens(vit: VisionTransformer, images: Tensor) -> Tensor:
    """What enters the first block, (B, E + L, D), E extra tokens first."""
    x, grid = vit.patch_embed(images)
    extra = [
        getattr(vit, name).expand(len(x), -1, -1)
        for name in ('cls_token', 'dist_token', 'register_tokens')
        if getattr(vit, name, None) is not None
    ]
    x = torch.cat([*extra, x], dim=1)
    if vit.pos_embed is None:  # relative positions only
        return vit.pre_norm(vit.drop_after_pos(x))
    x = x + resize_pos_embed(vit.pos_embed, vit.patch_resolution, grid,
                             vit.interpolate_mode, vit.num_extra_tokens)
    return vit.pre_norm(vit.drop_after_pos(x))


def shared_bias(vit: nn.Module) -> Tensor | None:
    """Relative position bias of all blocks, (heads, N, N), where there is."""
    module = getattr(vit, 'rel_pos_bias', None)
    return None if module is None else module()


def run_whole(vit: nn.Module,
              x: Tensor,
              end: int,
              start: int = 0) -> Tensor:
    """Blocks from ``start`` to before ``end`` on whole images, (B, N, D)."""
    layout = PackedLayout.whole(x)
    attend = getattr(vit, 'attend', None)
    packed = run_blocks(vit.layers[start:end], layout.pack(x), layout,
                        shared_bias(vit), attend and attend[start:end])
    return packed.view(x.shape)


def encode_whole(vit: VisionTransformer, images: Tensor) -> Tensor:
    """All tokens of whole images, normalised at the end: (B, E + L, D)."""
    x = as_residual(vit, input_tokens(vit, images))
    x = run_whole(vit, x, len(vit.layers))
    return vit.ln1(x) if vit.final_norm else x


@torch.no_grad()
def patch_attention(vit: VisionTransformer,
                    x: Tensor,
                    block: int,
                    queries: str | int = 'cls',
                    softmax: bool = True,
                    own_query: bool = True) -> Tensor:
    """Attention that the patches receive in one block.

    The blocks before it run as in evaluation, with fused attention; in the
    block itself only queries and keys are computed.

    Args:
        vit (VisionTransformer): mmpretrain's, or a subclass.
        x (Tensor): From :func:`input_tokens`, (B, E + L, D).
        block (int): Which block, from 0; negative counts from the end.
        queries, softmax, own_query: See :func:`received_attention`.

    Returns:
        Tensor: float32 (B, heads, L), without gradient.

    Raises:
        UserError: If there is no such block, or no class token to ask.

    Example:
        >>> vit = VisionTransformer('deit-tiny', img_size=32, patch_size=8)
        >>> images = torch.randn(2, 3, 32, 32)
        >>> patch_attention(vit, input_tokens(vit, images), -1).shape
        torch.Size([2, 3, 16])
    """
    block = which_block(block, len(vit.layers))
    with evaluation_mode(vit):
        x = run_whole(vit, x, block)
    return block_attention(vit, x, block, queries, softmax, own_query)


@torch.no_grad()
def block_attention(vit: VisionTransformer,
                    x: Tensor,
                    block: int,
                    queries: str | int = 'cls',
                    softmax: bool = True,
                    own_query: bool = True) -> Tensor:
    """As :func:`patch_attention`, from what enters the block itself."""
    check_queries(queries, vit.cls_token is not None)
    layer = vit.layers[block]
    bias = shared_bias(vit)
    if getattr(vit, 'attend', None) is not None:
        bias = vit.attend[block].matrix() * layer.attn.head_dims**-0.5
    received = received_attention(layer.attn, layer.ln1(x), queries, softmax,
                                  own_query, bias, vit.num_extra_tokens)
    return received[..., vit.num_extra_tokens:]
