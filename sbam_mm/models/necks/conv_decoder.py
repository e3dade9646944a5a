# Copyright (c) OpenMMLab. All rights reserved.
"""data2vec 2.0's decoder: convolutions over the grid of patches."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.masked_encoder import Latent, check_tiles
from sbam_mm.registry import MODELS

from .decoder import Decoder, masked_layout


@MODELS.register_module()
class ConvDecoder(Decoder):
    """Visible tokens in place, noise elsewhere, and grouped convolutions.

    A layer is convolution, layer norm over channels without scale, GELU, and
    from the second on (the first, if widths agree) a residual connection.
    There are no mask tokens and no positions: normal noise stands where
    nothing was encoded, drawn anew in every pass.

    Source: Baevski et al., *Efficient Self-supervised Learning with
    Contextualized Target Representations for Vision, Speech and Language*,
    ICML 2023, section 3.2; the numbers are those of the official ViT-B.

    Args:
        img_size (int or tuple): Pixels.
        patch_size (int): Pixels.
        embed_dim (int): Width of the encoder, and of what is predicted.
        decoder_embed_dim (int): Channels of the convolutions.
        decoder_depth (int): Convolutions.
        kernel_size (int): Of each, odd.
        groups (int): Of each.
        noise (float): Standard deviation.
    """

    def __init__(self,
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int = 16,
                 embed_dim: int = 768,
                 decoder_embed_dim: int = 768,
                 decoder_depth: int = 6,
                 kernel_size: int = 3,
                 groups: int = 16,
                 noise: float = 0.01):
        super().__init__()
        self.grid = check_tiles(
            img_size, patch_size,
            'give decoder and backbone the same img_size and patch_size')
        if kernel_size % 2 != 1 or decoder_depth < 1:
            raise UserError(
                f'kernel_size={kernel_size} and decoder_depth={decoder_depth} '
                'of a ConvDecoder are an odd number and at least 1; data2vec '
                '2.0 has 3 and 6.')
        if embed_dim % groups or decoder_embed_dim % groups:
            raise UserError(
                f'groups={groups} of a ConvDecoder does not divide its widths '
                f'{embed_dim} and {decoder_embed_dim}; change it.')
        self.embed_dim = embed_dim
        self.noise = noise
        widths = [embed_dim] + [decoder_embed_dim] * decoder_depth
        self.convs = nn.ModuleList(
            nn.Conv2d(width, next_width, kernel_size,
                      padding=kernel_size // 2, groups=groups)
            for width, next_width in zip(widths, widths[1:]))
        self.decoder_pred = nn.Linear(decoder_embed_dim, embed_dim)

    def forward(self, latent: Latent, token_mask: TokenMask) -> Tensor:
        """Predict every patch: (B, L, embed_dim).

        To its neighbours a thrown patch is like a masked one.
        """
        return self.decoder_pred(self.decode(latent))

    def predict_masked(self, latent: Latent, token_mask: TokenMask) -> Latent:
        """See :class:`Decoder`."""
        layout = masked_layout(latent, token_mask)
        tokens = layout.pack(self.decode(latent))
        return Latent(self.decoder_pred(tokens), layout)

    def decode(self, latent: Latent) -> Tensor:
        """Behind the last convolution: (B, L, decoder_embed_dim)."""
        x = latent.to_dense()[:, 1:]
        encoded = latent.layout.keep[:, 1:, None]
        x = torch.where(encoded, x, self.noise * torch.randn_like(x))
        x = x.mT.unflatten(2, self.grid)
        for conv in self.convs:
            out = conv(x).movedim(1, -1)
            out = F.gelu(F.layer_norm(out, out.shape[-1:])).movedim(-1, 1)
            x = out if conv.in_channels != conv.out_channels else x + out
        return x.flatten(2).mT
