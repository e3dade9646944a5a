# Copyright (c) OpenMMLab. All rights reserved.
"""BEiT's Vision Transformer, which hides patches as MaskedViT does."""

import torch
from mmpretrain.models import BEiTViT
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import (
    beit_layer_cfgs,
    blocks_of,
    set_residual_dtype,
    truncated_normal,
)
from sbam_mm.layers.patches import product_of_patches
from sbam_mm.registry import MODELS

from ..position_tables import remember_grid
from .masked_encoder import PAPER_ARCHS, MaskedEncoder, check_tiles


@MODELS.register_module()
class MaskedBEiT(MaskedEncoder, BEiTViT):
    """ViT with one table of relative positions for all blocks.

    SimMIM's published ViT: no absolute positions, a bias on the attention
    logits that all blocks share, layer scale. It hides patches as
    :class:`MaskedEncoder`. Parameter names are those of mmpretrain's
    ``BEiTViT`` with ``use_shared_rel_pos_bias=True``, which fine-tunes what
    was pre-trained here. Attention is fused, with the bias added inside.

    Source: Bao et al., *BEiT*, ICLR 2022; Xie et al., *SimMIM*, CVPR 2022.

    Args:
        img_size (int or tuple): Pixels; fixed, as the table is.
        layer_scale_init_value (float): Factor of every branch at the start; 0
            for none.
        **kwargs: Other options of mmpretrain's ``BEiTViT``; ``arch``,
            ``patch_size``, ``out_type``, ``with_cp`` and ``residual_dtype``
            as in ``MaskedViT``.

    Example:
        >>> vit = MaskedBEiT('tiny', img_size=32, patch_size=8)
        >>> vit.rel_pos_bias.relative_position_bias_table.shape  # 7 * 7 + 3
        torch.Size([52, 3])
    """
    arch_zoo = {**BEiTViT.arch_zoo, **PAPER_ARCHS}
    no_weight_decay = ('relative_position_bias_table', )

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int = 16,
                 out_type: str = 'raw',
                 final_norm: bool = True,
                 layer_scale_init_value: float = 0.1,
                 with_cp: bool = False,
                 residual_dtype: str = 'float32',
                 init_cfg: dict | list[dict] | None = None,
                 **kwargs):
        check_tiles(img_size, patch_size)
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            out_type=out_type,
            final_norm=final_norm,
            layer_scale_init_value=layer_scale_init_value,
            use_rel_pos_bias=False,
            use_shared_rel_pos_bias=True,
            init_cfg=init_cfg,
            **dict(
                kwargs,
                layer_cfgs=beit_layer_cfgs(
                    kwargs.get('layer_cfgs', ()), kwargs.get('drop_rate',
                                                             0.))))
        self.patch_size = patch_size
        remember_grid(self)
        self.drop_path_rate = kwargs.get('drop_path_rate', 0.)
        self.pre_norm = nn.Identity()
        product_of_patches(self.patch_embed.projection)
        self.layers = blocks_of(self.layers, with_cp)
        set_residual_dtype(self, residual_dtype)

    def init_weights(self) -> None:
        """BEiT's, section 2.5: outputs of block l divided by sqrt(2 l)."""
        super().init_weights()
        if (self.init_cfg or {}).get('type') == 'Pretrained':
            return
        truncated_normal(self.layers)
        nn.init.trunc_normal_(self.cls_token, std=.02)
        with torch.no_grad():
            for depth, layer in enumerate(self.layers, start=1):
                for output in (layer.attn.proj, layer.ffn.layers[1]):
                    output.weight /= (2 * depth)**0.5

    def grid(self, images: Tensor) -> tuple[int, int]:
        grid = super().grid(images)
        if grid != tuple(self.patch_resolution):
            raise UserError(
                f'images have {grid[0]} x {grid[1]} patches, but the table '
                'of relative positions is made for '
                f'{self.patch_resolution[0]} x {self.patch_resolution[1]}; '
                'set backbone.img_size to the size of the images.')
        return grid

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        self.grid(images)
        return super().forward(images)
