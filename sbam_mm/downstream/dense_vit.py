# Copyright (c) OpenMMLab. All rights reserved.
"""Pre-trained ViTs as backbones of semantic segmentation."""
from collections.abc import Sequence
from typing import Any

from mmpretrain.models import BEiTViT, VisionTransformer
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import beit_layer_cfgs, blocks_of
from sbam_mm.models.backbones.masked_encoder import PAPER_ARCHS, check_tiles
from sbam_mm.registry import MODELS

from .checkpoints import FromEncoder

InitCfg = dict | list[dict] | None


@MODELS.register_module()
class DenseViT(FromEncoder, VisionTransformer):
    """The encoder as it was pre-trained, giving maps of features.

    mmpretrain's ``VisionTransformer``, but that
    ``init_cfg=dict(type='Pretrained', checkpoint=FILE)`` loads every weight
    or stops, from any file that :func:`encoder_weights` reads.

    Args:
        arch (str or dict): As in :class:`sbam_mm.MaskedViT`.
        img_size (int or tuple): Pixels of a training crop; position embeddings
            are resized to it once, on loading.
        out_indices (Sequence[int]): Blocks whose output is returned.

    Raises:
        UserError: If patches do not tile ``img_size``, or the checkpoint
            does not fit.

    Example:
        >>> import torch
        >>> vit = DenseViT('tiny', img_size=32, patch_size=8,
        ...                out_indices=(5, 11))
        >>> [tuple(level.shape) for level in vit(torch.randn(2, 3, 32, 32))]
        [(2, 192, 4, 4), (2, 192, 4, 4)]
    """
    arch_zoo = {**VisionTransformer.arch_zoo, **PAPER_ARCHS}
    layers: Any

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | tuple[int, int] = 512,
                 patch_size: int = 16,
                 out_indices: Sequence[int] = (3, 5, 7, 11),
                 init_cfg: InitCfg = None,
                 **kwargs):
        check_tiles(img_size, patch_size)
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            out_indices=list(out_indices),
            out_type='featmap',
            final_norm=False,
            init_cfg=init_cfg,
            **kwargs)
        self.layers = blocks_of(self.layers)


@MODELS.register_module()
class RelativeViT(FromEncoder, BEiTViT):
    """MAE's segmentation recipe: relative positions and layer scale added.

    Every block has a table of relative positions that starts from 0 and
    layer scale that starts from ``layer_scale_init_value``, beside the
    absolute positions of the encoder; the rest comes from the checkpoint as
    in :class:`DenseViT`. Equals mmseg's backbone ``MAE``, whose weights have
    the same names, but attention is fused, with the bias added inside.

    Source: He et al., *Masked Autoencoders Are Scalable Vision Learners*,
    CVPR 2022, appendix A.4, which takes them from BEiT's recipe.

    Args:
        img_size (int or tuple): Pixels; fixed, as the tables are, hence
            sliding windows in evaluation.
        layer_scale_init_value (float): 0 for none.

    Raises:
        UserError: If patches do not tile ``img_size``, images of another
            size come, or the checkpoint does not fit.
    """
    arch_zoo = {**BEiTViT.arch_zoo, **PAPER_ARCHS}
    layers: Any
    begins_anew = (r'\.relative_position_(bias_table|index)$',
                   r'\.gamma_[12]$')

    def __init__(self,
                 arch: str | dict = 'base',
                 img_size: int | tuple[int, int] = 512,
                 patch_size: int = 16,
                 out_indices: Sequence[int] = (3, 5, 7, 11),
                 layer_scale_init_value: float = 1.,
                 init_cfg: InitCfg = None,
                 **kwargs):
        check_tiles(img_size, patch_size)
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            out_indices=list(out_indices),
            out_type='featmap',
            final_norm=False,
            bias=True,
            use_abs_pos_emb=True,
            use_rel_pos_bias=True,
            use_shared_rel_pos_bias=False,
            layer_scale_init_value=layer_scale_init_value,
            init_cfg=init_cfg,
            **dict(
                kwargs,
                layer_cfgs=beit_layer_cfgs(
                    kwargs.get('layer_cfgs', ()), kwargs.get('drop_rate',
                                                             0.))))
        self.layers = blocks_of(self.layers)

    def init_weights(self) -> None:
        """As :class:`FromEncoder`; relative positions start from 0."""
        super().init_weights()
        for layer in self.layers:
            nn.init.zeros_(layer.attn.relative_position_bias_table)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, D, h, w) for each of ``out_indices``."""
        self.check_size(images)
        return super().forward(images)

    def check_size(self, images: Tensor) -> None:
        """Stop if the tables of relative positions are of another size."""
        size = tuple(images.shape[-2:])
        if size != tuple(self.img_size):
            raise UserError(
                f'images of {size[0]} x {size[1]} pixels came to a backbone '
                f'whose tables of relative positions are made for '
                f'{self.img_size[0]} x {self.img_size[1]}; crop or pad to '
                'that size (in evaluation test_cfg.mode="slide"), or set '
                'backbone.img_size.')
