# Copyright (c) OpenMMLab. All rights reserved.
"""SimMIM's decoder: one linear layer per patch."""

from torch import Tensor, nn

from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.masked_encoder import Latent
from sbam_mm.registry import MODELS

from .decoder import Decoder


@MODELS.register_module()
class LinearDecoder(Decoder):
    """Predict the pixels of a patch from its own token.

    Values of a patch run over rows, columns and channels, as in
    :func:`sbam_mm.models.patchify`. The official code writes the same map as
    a 1 x 1 convolution and a pixel shuffle, whose outputs run over channels,
    rows and columns: ``decoder.weight.data = official.flatten(1)
    .unflatten(0, (3, p * p)).transpose(0, 1).flatten(0, 1)`` converts one
    into the other.

    Source: Xie et al., *SimMIM*, CVPR 2022, section 3.3.

    Args:
        embed_dim (int): Width of the encoder.
        patch_size (int): Pixels.
        out_dims (int, optional): Values to predict per patch where they are
            no pixels, e.g. BEiT's 8192 visual tokens.

    Example:
        >>> LinearDecoder(192, patch_size=8).decoder
        Linear(in_features=192, out_features=192, bias=True)
    """

    def __init__(self,
                 embed_dim: int = 768,
                 patch_size: int = 16,
                 in_channels: int = 3,
                 out_dims: int | None = None):
        super().__init__()
        self.decoder = nn.Linear(
            embed_dim, out_dims or patch_size**2 * in_channels)

    def forward(self, latent: Latent, token_mask: TokenMask) -> Tensor:
        """Predict every patch, masked tokens included in ``latent``."""
        return self.decoder(latent.to_dense()[:, 1:])
