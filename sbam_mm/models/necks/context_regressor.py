# Copyright (c) OpenMMLab. All rights reserved.
"""CAE's latent contextual regressor and decoder, on the masked tokens only."""
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from mmpretrain.models.backbones.vision_transformer import (
    TransformerEncoderLayer,
)
from mmpretrain.models.necks.cae_neck import CAETransformerRegressorLayer
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import (
    Attention,
    PackedLayout,
    blocks_of,
    run_blocks,
    truncated_normal,
    xavier_linear,
)
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones import Latent
from sbam_mm.registry import MODELS


class Regression(NamedTuple):
    """The regressor's and the decoder's output, in a layout of (B, L)."""
    latent: Latent  # (T, D), for the alignment
    prediction: Latent  # (T, out_dims)


class RegressorBlock(CAETransformerRegressorLayer):
    """mmpretrain's regressor layer, on packed queries."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cross_attn = Attention(self.cross_attn)

    def forward(self, x: Tensor, layout: PackedLayout, tokens: Tensor,
                position: Tensor, keys: PackedLayout) -> Tensor:
        """Let masked tokens, (T, D), look at all, (B, L, D).

        ``layout`` says where they stand, ``keys`` which are looked at.
        """
        asked = self.norm1_q_cross(
            x + layout.pack(position.expand_as(tokens)))
        memory = (self.norm1_k_cross(keys.pack(tokens + position)),
                  self.norm1_v_cross(keys.pack(tokens)))
        mixed = self.cross_attn(asked, None, layout, None, memory, keys)
        x = self.norm2_cross(x + self.gamma_1_cross * mixed)
        return x + self.gamma_2_cross * self.ffn(x)


@MODELS.register_module()
class ContextRegressor(BaseModule):
    """Predict latents of masked patches from the visible ones, then decode.

    Mask queries attend to the visible latents and to themselves; visible
    latents are not changed, so that encoding is left to the encoder. The
    decoder sees predicted latents only. Both run on masked tokens, packed
    where images hide different numbers of them; mmpretrain's ``CAENeck``,
    which computes the same, wants one number, set beforehand.

    Source: Chen et al., *Context Autoencoder for Self-Supervised
    Representation Learning*, IJCV 2023, section 3.1.

    Args:
        embed_dims (int): Width, that of the encoder.
        out_dims (int): Values predicted per patch: 8192 logits of DALL-E's
            vocabulary (the paper), or patch_size**2 * 3 pixels.
        layer_scale_init_value (float): That of ViT-S and ViT-B; the official
            ViT-L has 1e-5.

    Example:
        >>> neck = ContextRegressor(
        ...     embed_dims=24, num_heads=3, regressor_depth=1,
        ...     decoder_depth=1, out_dims=5)
        >>> masked = torch.tensor([[True, True, False], [False, True, False]])
        >>> layout = PackedLayout(torch.tensor([[True, False, False, True],
        ...                                     [True, True, False, True]]))
        >>> latent = Latent(torch.randn(5, 24), layout)
        >>> out = neck(latent, TokenMask(masked), torch.zeros(1, 3, 24))
        >>> out.latent.packed.shape, out.prediction.to_dense().shape
        (torch.Size([3, 24]), torch.Size([2, 3, 5]))
    """

    def __init__(self,
                 embed_dims: int = 768,
                 num_heads: int = 12,
                 regressor_depth: int = 4,
                 decoder_depth: int = 4,
                 out_dims: int = 8192,
                 mlp_ratio: int = 4,
                 layer_scale_init_value: float = 0.1,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if embed_dims % num_heads:
            raise UserError(f'{num_heads} heads do not divide the width '
                            f'{embed_dims}; change neck.num_heads.')
        common = dict(
            embed_dims=embed_dims,
            num_heads=num_heads,
            feedforward_channels=mlp_ratio * embed_dims,
            layer_scale_init_value=layer_scale_init_value,
            norm_cfg=dict(type='LN', eps=1e-6))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.regressors = nn.ModuleList(
            RegressorBlock(qkv_bias=True, **common)
            for _ in range(regressor_depth))
        self.norm_regressor = nn.LayerNorm(embed_dims, eps=1e-6)
        self.decoders = blocks_of(
            TransformerEncoderLayer(**common) for _ in range(decoder_depth))
        self.norm_decoder = nn.LayerNorm(embed_dims, eps=1e-6)
        self.head = nn.Linear(embed_dims, out_dims)

    def init_weights(self) -> None:
        super().init_weights()
        xavier_linear(self)
        nn.init.trunc_normal_(self.mask_token, std=.02)
        truncated_normal(self.head)

    def forward(self, latent: Latent, token_mask: TokenMask,
                position: Tensor) -> Regression:
        """Predict masked patches, from neither class nor thrown tokens."""
        if token_mask.thrown is None:
            layout = latent.layout.rest(token_mask.masked)
            keys = PackedLayout.whole(token_mask.masked, layout.order)
        else:
            layout = PackedLayout(token_mask.masked)
            keys = layout.beside(~token_mask.thrown)
        visible = latent.to_dense()[:, 1:]
        x = self.mask_token[0].expand(len(layout.index), -1)
        for regressor in self.regressors:
            tokens = layout.unpack(x.to(visible.dtype), visible)
            x = regressor(x, layout, tokens, position, keys)
        predicted = self.norm_regressor(x)
        x = predicted + layout.pack(position.expand_as(visible))
        x = self.norm_decoder(run_blocks(self.decoders, x, layout))
        return Regression(
            Latent(predicted, layout), Latent(self.head(x), layout))
