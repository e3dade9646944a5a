# Copyright (c) OpenMMLab. All rights reserved.
"""UM-MAE: MAE that also covers some of the tokens it leaves visible.

Source: Li et al., *Uniform Masking: Enabling MAE Pre-training for
Pyramid-based Vision Transformers with Locality*, 2022, "secondary masking".
"""

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import TokenMask, UniformMasker
from sbam_mm.masking import functional as F
from sbam_mm.models.backbones import Latent
from sbam_mm.registry import MODELS

from .mae import MAE


@MODELS.register_module()
class UMMAE(MAE):
    """MAE with uniform sampling and secondary masking.

    Of the tokens that the masker leaves visible, a share is replaced by one
    learnable token before the encoder, in place and with their positions.
    They stay in the sequence, so that it keeps the shape that pyramids of
    windows want, and say nothing of their patch. The loss is MAE's, on the
    patches the masker hides.

    Args:
        masker (dict, optional): Defaults to None: ``UniformMasker``, one
            visible token of each 2 x 2.
        secondary (float): Share of the visible tokens that is covered, in
            [0, 1); 0.25 is 12 of 49.
        **kwargs: Options of :class:`MAE`.
    """

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 secondary: float = 0.25,
                 **kwargs):
        if not 0 <= secondary < 1:
            raise UserError('secondary is a share of the visible tokens in '
                            f'[0, 1), got {secondary}; UM-MAE uses 0.25.')
        super().__init__(backbone, masker or UniformMasker(), **kwargs)
        self.secondary = secondary
        self.secondary_token = nn.Parameter(
            torch.zeros(1, 1, self.backbone.embed_dims))
        nn.init.trunc_normal_(self.secondary_token, std=.02)

    def encode(self,
               tokens: Tensor,
               token_mask: TokenMask,
               inputs: Tensor) -> Latent:
        """As MAE's; in training some of the visible tokens are covered."""
        if self.training and self.secondary:
            covered = self.covered(token_mask)
            position = self.backbone.position(self.backbone.grid(inputs))
            tokens = torch.where(covered[..., None],
                                 self.secondary_token + position[:, 1:],
                                 tokens)
        return super().encode(tokens, token_mask, inputs)

    def covered(self,
                token_mask: TokenMask,
                noise: Tensor | None = None) -> Tensor:
        """Which visible tokens are covered, boolean (B, L).

        The same share of every image's, rounded down. ``noise``, draws from
        U[0, 1) of (B, L), replaces torch's generator.
        """
        visible = token_mask.visible
        if noise is None:
            noise = torch.rand(visible.shape, device=visible.device)
        first = F.top_rank(visible.to(noise.dtype), noise)
        return first < F.share_count(
            visible.sum(dim=1, keepdim=True), self.secondary)
