# Copyright (c) OpenMMLab. All rights reserved.
"""What has to be known of Vision Transformers of timm and transformers."""
import inspect
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError

from .grids import on_grid, resized
from .reading import read_attention
from .received import which_block

CLASS_TOKENS = ('cls_token', 'class_token', 'class_embedding')


class Shape(NamedTuple):
    """Of a library's ViT.

    ``patch`` and ``size`` are height and width in pixels, ``size`` that of
    the images its positions are made for; a ``fixed`` one takes no others.
    """
    depth: int
    heads: int
    patch: tuple[int, int]
    size: tuple[int, int]
    fixed: bool = False


def shape_of(vit: nn.Module, name: str) -> Shape:
    """The shape of a ViT of either library."""
    config = getattr(vit, 'config', None)
    return timm_shape(vit, name) if config is None else hf_shape(config, name)


def timm_shape(vit: nn.Module, name: str) -> Shape:
    """The shape of a model of timm."""
    try:
        patches: Any = vit.patch_embed
        blocks: Any = vit.blocks
        return Shape(
            len(blocks), blocks[0].attn.num_heads, tuple(patches.patch_size),
            tuple(patches.img_size),
            not getattr(vit, 'dynamic_img_size', False))
    except (AttributeError, TypeError) as error:
        raise UserError(f'{name} is no Vision Transformer of timm; name one '
                        'that is.') from error


def hf_shape(config: Any, name: str) -> Shape:
    """The shape of a model of transformers, from its config."""
    try:
        return Shape(config.num_hidden_layers, config.num_attention_heads,
                     _pair(config.patch_size), _pair(config.image_size))
    except AttributeError as error:
        raise UserError(
            f'{name} is no Vision Transformer: its config does not say '
            f'{error.name}; name one that is.') from error


def _pair(size: int | Iterable[int]) -> tuple[int, int]:
    height, width = size if isinstance(size, Iterable) else (size, size)
    return height, width


def run_vit(vit: Any, images: Tensor) -> Any:
    """One pass of either library's ViT over images of any size it takes."""
    if not hasattr(vit, 'config'):
        return vit.forward_features(images)
    options: dict[str, Any] = {}
    known = inspect.signature(vit.forward).parameters
    if 'interpolate_pos_encoding' in known:
        options['interpolate_pos_encoding'] = True
    if 'noise' in known:
        # The order in which MAE shuffles patches before it drops some.
        height, width = _pair(vit.config.patch_size)
        count = images.shape[2] // height * (images.shape[3] // width)
        options['noise'] = torch.arange(
            count, dtype=torch.float, device=images.device).expand(
                len(images), -1)
    return vit(images, **options)


def make_readable(vit: Any) -> None:
    """Let all patches pass, and PyTorch's fused attention be called."""
    if hasattr(vit, 'set_attn_implementation'):
        vit.set_attn_implementation('sdpa')
    if hasattr(getattr(vit, 'config', None), 'mask_ratio'):
        vit.config.mask_ratio = 0.  # of MAE
    for part in vit.modules():
        if hasattr(part, 'fused_attn'):  # an environment may say no
            part.fused_attn = True


def has_class_token(vit: nn.Module) -> bool:
    """Whether the first of its tokens is none of the image's patches."""
    return any(name.rpartition('.')[2] in CLASS_TOKENS
               for name, _ in vit.named_parameters())


@torch.no_grad()
def attention_on_grid(vit: nn.Module,
                      shape: Shape,
                      images: Tensor,
                      grid: tuple[int, int],
                      block: int,
                      queries: str = 'cls',
                      softmax: bool = True,
                      own_query: bool = True,
                      size: tuple[int, int] | None = None,
                      resample: str = 'area',
                      name: str = 'the model') -> Tensor:
    """Attention that patches of a student's grid receive, (B, heads, h * w).

    Args:
        images (Tensor): Normalised for ``vit``, of any size.
        size (tuple[int, int], optional): Pixels that it sees. Defaults to
            None: so many that its patches are the student's.
        resample (str): See :func:`on_grid`.
    """
    if size is None:
        size = grid[0] * shape.patch[0], grid[1] * shape.patch[1]
    received, own = read_attention(
        partial(run_vit, vit), resized(images, size), shape.patch,
        which_block(block, shape.depth), queries, softmax, own_query, name)
    return on_grid(received, own, grid, resample)
