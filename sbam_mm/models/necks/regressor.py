# Copyright (c) OpenMMLab. All rights reserved.
"""BootMAE's regressors: decoders that may look into the encoder."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from sbam_mm.layers import (
    Attend,
    Block,
    CrossAttention,
    PackedLayout,
    Spans,
    plain_layer,
    run_blocks,
    sincos_position,
    xavier_linear,
)
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones import Latent
from sbam_mm.models.heads import patchify
from sbam_mm.models.position_tables import check_count, remember_grid
from sbam_mm.registry import MODELS

from .decoder import patch_grid


class RegressorBlock(Block):
    """Attention to each other, to the encoder's tokens, feed-forward network.

    ``dim`` is the width of the tokens, ``memory_dim`` of the encoder's.
    """

    def __init__(self,
                 dim: int,
                 memory_dim: int,
                 num_heads: int,
                 mlp_ratio: float = 4.):
        super().__init__(plain_layer(dim, num_heads, mlp_ratio))
        self.cross = CrossAttention(dim, memory_dim, num_heads)
        self.ln_cross = nn.LayerNorm(dim, eps=1e-6)
        self.ln_memory = nn.LayerNorm(memory_dim, eps=1e-6)

    def run(self,
            x: Tensor,
            bias: Tensor | None = None,
            layout: PackedLayout | Spans | None = None,
            attend: Attend | None = None,
            memory: Tensor | None = None,
            keys: PackedLayout | Spans | None = None) -> Tensor:
        """See :meth:`Block.run`; the memory is (..., memory_dim)."""
        x = self.add(x, self.attn(self.ln1(x), bias, layout, attend))
        x = x + self.cross(
            self.ln_cross(x), None, layout, None, self.ln_memory(memory), keys)
        return self.feed_forward(x)


@MODELS.register_module()
class Regressor(BaseModule):
    """Predict every patch from the encoded ones, and from inside the encoder.

    The encoder's tokens enter without positions, which they carry already;
    mask tokens get theirs. Every block looks at ``memory``, the tokens after
    some block of the encoder: the first for pixels, the last for features,
    so that the encoder need not carry low-level detail to its end.

    Source: Dong et al., *Bootstrapped Masked Autoencoders for Vision BERT
    Pretraining*, ECCV 2022, section 3.2. In the official ViT-B the pixel
    decoder is 512 wide with 12 heads of 42 channels, which leaves 8 channels
    out of its attention; here heads divide the width.

    Args:
        img_size (int or tuple): Pixels.
        patch_size (int): Pixels.
        embed_dim (int): Width of the encoder.
        decoder_embed_dim (int): Width of the decoder: the default is that of
            the pixel regressor; the feature regressor is as wide as the
            encoder.
        predict_feature_dim (int, optional): Predict features of this width.
            Defaults to None: pixels.
    """

    def __init__(self,
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int = 16,
                 embed_dim: int = 768,
                 decoder_embed_dim: int = 512,
                 decoder_depth: int = 2,
                 decoder_num_heads: int = 16,
                 mlp_ratio: float = 4.,
                 predict_feature_dim: int | None = None,
                 in_channels: int = 3):
        super().__init__()
        self.grid = patch_grid(img_size, patch_size, decoder_embed_dim,
                               decoder_num_heads)
        self.patch_size = patch_size
        dim = decoder_embed_dim
        self.decoder_embed = nn.Linear(embed_dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.decoder_pos_embed = nn.Parameter(
            sincos_position(self.grid, dim), requires_grad=False)
        self.decoder_blocks = nn.ModuleList(
            RegressorBlock(dim, embed_dim, decoder_num_heads, mlp_ratio)
            for _ in range(decoder_depth))
        self.decoder_norm = nn.LayerNorm(dim, eps=1e-6)
        remember_grid(self)
        self.decoder_pred: nn.Module
        if predict_feature_dim is None:
            self.decoder_pred = nn.ConvTranspose2d(
                dim, in_channels, patch_size, patch_size)
        else:
            self.decoder_pred = nn.Linear(dim, predict_feature_dim)

    def init_weights(self) -> None:
        super().init_weights()
        xavier_linear(self)
        nn.init.normal_(self.mask_token, std=.02)

    def forward(self, latent: Latent, memory: Tensor,
                token_mask: TokenMask) -> Tensor:
        """Predict every patch.

        Args:
            memory (Tensor): One of ``latent.blocks``.
            token_mask (TokenMask): Thrown tokens are not looked at.

        Returns:
            Tensor: (B, L, P): pixels of a patch over rows, columns and
            channels, or features. That of a thrown token means nothing.
        """
        tokens = self.decoder_embed(latent.packed)
        check_count(latent.layout.shape[1], self.decoder_pos_embed)
        full = latent.layout.unpack(
            tokens, self.mask_token + self.decoder_pos_embed)
        if token_mask.thrown is None:
            layout = PackedLayout.whole(full, latent.layout.order)
        else:
            kept = nn.functional.pad(~token_mask.thrown, (1, 0), value=True)
            layout = latent.layout.beside(kept)
        x = run_blocks(
            self.decoder_blocks, layout.pack(full), layout,
            memories=[memory] * len(self.decoder_blocks), keys=latent.layout)
        full = self.decoder_norm(Latent(x, layout).to_dense())[:, 1:]
        if isinstance(self.decoder_pred, nn.Linear):
            return self.decoder_pred(full)
        image = self.decoder_pred(full.mT.unflatten(2, self.grid))
        return patchify(image, self.patch_size)
