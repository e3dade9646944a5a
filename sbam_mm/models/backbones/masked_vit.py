# Copyright (c) OpenMMLab. All rights reserved.
"""Vision Transformer that hides patches, by dropping or by replacing them."""

import torch
from mmpretrain.models import VisionTransformer

from sbam_mm.layers import (
    blocks_of,
    set_residual_dtype,
    sincos_position,
    truncated_normal,
    xavier_linear,
    xavier_patches,
)
from sbam_mm.layers.patches import product_of_patches
from sbam_mm.registry import MODELS

from ..guidance import Guide
from ..position_tables import remember_grid
from .masked_encoder import PAPER_ARCHS, MaskedEncoder, check_tiles


@MODELS.register_module()
class MaskedViT(MaskedEncoder, VisionTransformer):
    """ViT encoder of masked image modelling; see :class:`MaskedEncoder`.

    Parameter names are those of mmpretrain's ``VisionTransformer``, so a
    checkpoint drops into mmpretrain, mmseg and mmdet unchanged.

    Args:
        arch (str or dict): "tiny" (192 wide, 12 blocks, 3 heads), "small"
            (384 x 12, 6 heads; mmpretrain calls it "deit-small"), "base",
            "large", "huge", any other mmpretrain name, or a dict with
            ``embed_dims, num_layers, num_heads, feedforward_channels``.
        img_size (int or tuple): Pixels.
        patch_size (int): Pixels.
        out_type (str): What ``forward(images)`` returns without a mask, as in
            mmpretrain: "raw", (B, 1 + L, D) with the class token first,
            "cls_token", "featmap" or "avg_featmap".
        learned_position (bool): Train the position table and start from
            truncated normals of 0.02, as SimMIM, DINO and iBOT do; else
            positions are MAE's fixed sine-cosine and the start is MAE's.
        segment_bias (dict, optional): Options of
            :class:`sbam_mm.segments.SegmentBias`, the encoder's guide.
            Without segments the encoder is the plain one.
        with_cp (bool): Activation checkpointing: blocks keep what enters
            them and compute the rest again in the backward pass, a third
            more work.
        residual_dtype (str): "float32", or "bfloat16" in a training in
            bfloat16: what blocks add up takes half the memory and is rounded
            after every block.
        **kwargs: Other options of mmpretrain's ``VisionTransformer``.

    Example:
        >>> from sbam_mm.masking import TokenMask
        >>> vit = MaskedViT('tiny', img_size=32, patch_size=8)
        >>> tokens = vit.embed(torch.randn(2, 3, 32, 32))
        >>> masked = torch.zeros(2, 16, dtype=torch.bool)
        >>> masked[0, :12] = True
        >>> latent = vit.encode(tokens, TokenMask(masked))
        >>> latent.packed.shape  # (1 + 4) + (1 + 16) tokens
        torch.Size([22, 192])
    """
    arch_zoo = {**VisionTransformer.arch_zoo, **PAPER_ARCHS}

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int = 16,
                 out_type: str = 'raw',
                 learned_position: bool = False,
                 segment_bias: dict | None = None,
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
            init_cfg=init_cfg,
            **kwargs)
        self.patch_size = patch_size
        remember_grid(self)
        self.drop_path_rate = kwargs.get('drop_path_rate', 0.)
        self.learned_position = learned_position
        product_of_patches(self.patch_embed.projection)
        self.layers = blocks_of(self.layers, with_cp)
        set_residual_dtype(self, residual_dtype)
        self.pos_embed.requires_grad = learned_position
        self.segment_bias = None if segment_bias is None else MODELS.get(
            'sbam_mm.SegmentBias').of(self, segment_bias)

    @property
    def guide(self) -> Guide | None:  # type: ignore[override]
        """How the layers attend, see :mod:`sbam_mm.models.guidance`."""
        return self.segment_bias

    def init_weights(self) -> None:
        """MAE's initialisation, or with learned positions DINO's."""
        super().init_weights()
        if (self.init_cfg or {}).get('type') == 'Pretrained':
            return
        if self.learned_position:
            truncated_normal(self.layers)
            torch.nn.init.trunc_normal_(self.pos_embed, std=.02)
            torch.nn.init.trunc_normal_(self.cls_token, std=.02)
            return
        xavier_linear(self.layers)
        self.pos_embed.data.copy_(
            sincos_position(self.patch_resolution, self.embed_dims))
        xavier_patches(self.patch_embed.projection)
        torch.nn.init.normal_(self.cls_token, std=.02)
