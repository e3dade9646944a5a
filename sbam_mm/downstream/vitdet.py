# Copyright (c) OpenMMLab. All rights reserved.
"""ViTDet's backbone, with mmpretrain's key names."""
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import ModuleList
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import (
    Block,
    PackedLayout,
    decomposed_attention,
    from_windows,
    to_windows,
)
from sbam_mm.models.backbones.masked_encoder import PAPER_ARCHS, check_tiles
from sbam_mm.registry import MODELS

from .checkpoints import FromEncoder


class WindowBlock(Block):
    """A block within windows, or on the whole map, with relative positions.

    Args:
        window (int): Patches along the side of a window; 0 = the whole map.
        rel_pos_size (int): Patches along the side that relative positions
            are for; 0 for none.
    """

    def __init__(self, layer: nn.Module, window: int, rel_pos_size: int):
        super().__init__(layer)
        self.window = window
        if rel_pos_size:
            for name in ('rel_pos_h', 'rel_pos_w'):
                self.attn.register_parameter(
                    name,
                    nn.Parameter(
                        torch.zeros(2 * rel_pos_size - 1,
                                    self.attn.head_dims)))

    def run(  # type: ignore[override]
            self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """One block on (B, E + H * W, D), of which E is 0 with windows."""
        y, side = self.ln1(x), grid
        if self.window:
            side = self.window, self.window
            y = to_windows(y.unflatten(1, grid), self.window).flatten(1, 2)
        y = self.attend(y, side)
        if self.window:
            y = from_windows(y.unflatten(1, side), grid).flatten(1, 2)
        # After the windows are together again: stochastic depth drops images.
        return self.feed_forward(self.add(x, y))

    def attend(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Attention with decomposed relative positions, if it has any."""
        if not hasattr(self.attn, 'rel_pos_h'):
            return self.attn(x)

        def placed(q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout,
                   dropout: float) -> Tensor:
            q, k, v = (y.unflatten(0, layout.shape).transpose(1, 2)
                       for y in (q, k, v))
            out = decomposed_attention(q, k, v, self.attn.rel_pos_h,
                                       self.attn.rel_pos_w, grid, dropout)
            return out.transpose(1, 2).flatten(0, 1)

        layout = PackedLayout.whole(x)
        return self.attn(x, None, layout, placed)


@MODELS.register_module()
class ViTDet(FromEncoder, VisionTransformer):
    """A plain ViT for detection: windows, and a few global blocks.

    Most blocks attend within windows, the blocks ``global_blocks`` between
    all patches; every block has decomposed relative positions that start
    from 0. There is no class token, and the map of the last block is
    returned without a final norm. Images of any size are taken; positions
    are resized to them. Padding of the last windows is attended to, as in the
    official code. Parameter names are mmpretrain's, and checkpoints are
    loaded as in :class:`DenseViT`.

    Source: Li et al., *Exploring Plain Vision Transformer Backbones for
    Object Detection*, ECCV 2022, section 3 and appendix A.1.

    Args:
        arch (str or dict): As in :class:`sbam_mm.MaskedViT`.
        img_size (int or tuple): Pixels of the images in pre-training: the grid
            of ``pos_embed``.
        window_size (int): Patches along the side of a window; 0 for none.
        global_blocks (Sequence[int], optional): Defaults to None: the last of
            each quarter, (2, 5, 8, 11) of 12 and (5, 11, 17, 23) of 24.
        rel_pos_size (int): Patches along the side of a training image; 0
            for no relative positions in any block. Defaults to 64: images of
            1024 pixels.
        with_cls_token (bool): Keep the class token; only without windows.

    Raises:
        UserError: If patches do not tile an image, a global block does not
            exist, a class token meets windows, or the checkpoint does not
            fit.

    Example:
        >>> vit = ViTDet('tiny', img_size=32, patch_size=8, window_size=2,
        ...              rel_pos_size=4)
        >>> vit(torch.randn(1, 3, 40, 24))[0].shape
        torch.Size([1, 192, 5, 3])
    """
    arch_zoo = {**VisionTransformer.arch_zoo, **PAPER_ARCHS}
    layers: Any
    begins_anew = (r'\.attn\.rel_pos_[hw]$', )

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int = 16,
                 window_size: int = 14,
                 global_blocks: Sequence[int] | None = None,
                 rel_pos_size: int = 64,
                 drop_path_rate: float = 0.,
                 with_cls_token: bool = False,
                 with_cp: bool = False,
                 init_cfg: dict | list[dict] | None = None,
                 **kwargs: Any):
        check_tiles(img_size, patch_size)
        if with_cls_token and window_size:
            raise UserError(
                'a class token belongs to no window; set '
                'with_cls_token=False, or window_size=0.')
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            drop_path_rate=drop_path_rate,
            out_type='featmap',
            final_norm=False,
            with_cls_token=with_cls_token,
            init_cfg=init_cfg,
            **kwargs)
        depth = self.num_layers
        if global_blocks is None:
            global_blocks = [depth * part // 4 - 1 for part in range(1, 5)]
        if not set(global_blocks) <= set(range(depth)):
            raise UserError(
                f'global_blocks={list(global_blocks)} names blocks that do '
                f'not exist; the backbone has 0 to {depth - 1}.')
        self.patch_size = patch_size
        windows = [
            0 if block in global_blocks else window_size
            for block in range(depth)
        ]
        self.layers = ModuleList(
            WindowBlock(layer, window, rel_pos_size and (
                window or rel_pos_size))
            for layer, window in zip(self.layers, windows))
        for block in self.layers:
            block.with_cp = with_cp

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """The map of the last block, (B, D, H / patch, W / patch)."""
        check_tiles((images.shape[-2], images.shape[-1]), self.patch_size)
        x, grid = self.patch_embed(images)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = x + resize_pos_embed(self.pos_embed, self.patch_resolution, grid,
                                 self.interpolate_mode, self.num_extra_tokens)
        x = self.pre_norm(self.drop_after_pos(x))
        for block in self.layers:
            x = block(x, grid)
        cells = x[:, self.num_extra_tokens:]
        return (cells.transpose(1, 2).unflatten(2, grid).contiguous(), )
