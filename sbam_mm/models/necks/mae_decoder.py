# Copyright (c) OpenMMLab. All rights reserved.
"""MAE's decoder, for any number of visible tokens per image."""

from typing import Any

import torch
from mmpretrain.models.necks import MAEPretrainDecoder
from torch import Tensor, nn

from sbam_mm.layers import (
    PackedLayout,
    as_residual,
    blocks_of,
    run_blocks,
    set_residual_dtype,
    sincos_position,
    xavier_linear,
)
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.masked_encoder import Latent
from sbam_mm.models.position_tables import check_count, remember_grid
from sbam_mm.registry import MODELS

from .decoder import Decoder, masked_layout, patch_grid


@MODELS.register_module()
class MAEDecoder(MAEPretrainDecoder, Decoder):
    """Put visible tokens back in place, mask tokens elsewhere, and decode.

    Parameter names are those of mmpretrain's ``MAEPretrainDecoder``.

    Args:
        img_size (int or tuple): Pixels.
        patch_size (int): Pixels.
        embed_dim (int): Width of the encoder.
        decoder_embed_dim (int): Width of the decoder.
        with_cp (bool), residual_dtype (str): As in ``MaskedViT``.
        **kwargs: Other options of ``MAEPretrainDecoder``.
    """

    decoder_blocks: Any
    arranges = True

    def __init__(self,
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int = 16,
                 embed_dim: int = 768,
                 decoder_embed_dim: int = 512,
                 decoder_depth: int = 8,
                 decoder_num_heads: int = 16,
                 with_cp: bool = False,
                 residual_dtype: str = 'float32',
                 in_channels: int = 3,
                 **kwargs):
        self.grid = patch_grid(img_size, patch_size, decoder_embed_dim,
                               decoder_num_heads)
        super().__init__(
            num_patches=self.grid[0] * self.grid[1],
            patch_size=patch_size,
            embed_dim=embed_dim,
            decoder_embed_dim=decoder_embed_dim,
            decoder_depth=decoder_depth,
            decoder_num_heads=decoder_num_heads,
            # mmpretrain's name of the same.
            **{'in_chans': in_channels, **kwargs})
        remember_grid(self)
        self.decoder_blocks = blocks_of(self.decoder_blocks, with_cp)
        set_residual_dtype(self, residual_dtype)

    def init_weights(self) -> None:
        super(MAEPretrainDecoder, self).init_weights()
        xavier_linear(self)
        self.decoder_pos_embed.data.copy_(
            sincos_position(self.grid, self.decoder_pos_embed.shape[-1]))
        torch.nn.init.normal_(self.mask_token, std=.02)

    def forward(self, latent: Latent, token_mask: TokenMask) -> Tensor:
        """Predict every patch: (B, L, patch_size**2 * channels)."""
        return self.decode(self.arrange(latent), token_mask)

    def arrange(self, latent: Latent) -> Tensor:
        """See :class:`Decoder`: (B, 1 + L, decoder_embed_dim)."""
        tokens = self.decoder_embed(latent.packed)
        full = latent.layout.unpack(tokens, self.mask_token)
        check_count(full.shape[1], self.decoder_pos_embed, extra=1)
        # The class token's row comes first; ConvMAE has none.
        positions = self.decoder_pos_embed[:, -full.shape[1]:]
        return full + as_residual(self, positions)

    def decode(self, full: Tensor, token_mask: TokenMask) -> Tensor:
        """From :meth:`arrange` to the prediction, as in :meth:`forward`."""
        full = run_unthrown(self.decoder_blocks, full, token_mask)
        patches = full[:, -token_mask.masked.shape[1]:]
        return self.decoder_pred(self.decoder_norm(patches))

    def predict_masked(self, latent: Latent, token_mask: TokenMask) -> Latent:
        """See :class:`Decoder`; no token may be thrown.

        Other tokens reach the prediction of a patch through attention alone,
        so behind the last block's keys and values the visible ones have no
        part any more.
        """
        layout = masked_layout(latent, token_mask)
        full = self.arrange(latent)
        *blocks, last = self.decoder_blocks
        for block in blocks:
            full = block(full)
        masked = self.decoder_norm(last.at(full, layout))
        return Latent(self.decoder_pred(masked), layout)


def run_unthrown(blocks: nn.ModuleList, full: Tensor,
                 token_mask: TokenMask) -> Tensor:
    """Run :class:`Block`s on all tokens but the thrown ones.

    Tokens are (B, E + L, D), class token first where there is one; the result
    is 0 where a token was thrown.
    """
    if token_mask.thrown is None:
        for block in blocks:
            full = block(full)
        return full
    extra = full.shape[1] - token_mask.thrown.shape[1]
    keep = torch.nn.functional.pad(~token_mask.thrown, (extra, 0), value=True)
    layout = PackedLayout(keep)
    decoded = run_blocks(blocks, layout.pack(full), layout)
    return layout.unpack(decoded, decoded.new_zeros(()))
