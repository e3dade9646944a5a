# Copyright (c) OpenMMLab. All rights reserved.
"""MILAN's decoder: masked patches change, visible ones only prompt."""
import torch
from torch import Tensor

from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.masked_encoder import Latent
from sbam_mm.registry import MODELS

from .decoder import masked_layout
from .mae_decoder import MAEDecoder


@MODELS.register_module()
class PromptDecoder(MAEDecoder):
    """A decoder in which visible tokens stay as the encoder made them.

    In every block only masked tokens have queries; keys and values are those
    of all tokens, of the visible ones neither normalised nor changed. The
    same as mmpretrain's ``MILANPretrainDecoder``, whose parameters differ in
    their names, and for any number of visible tokens per image.

    Source: Hou et al., *MILAN: Masked Image Pretraining on Language Assisted
    Representation*, 2022, section 3.2.

    Args:
        feature_dim (int): Width of what is predicted; CLIP ViT-B/16's.
        **kwargs: Options of :class:`MAEDecoder`.
    """

    def __init__(self, feature_dim: int = 512, **kwargs):
        super().__init__(predict_feature_dim=feature_dim, **kwargs)

    def predict_masked(self, latent: Latent, token_mask: TokenMask) -> Latent:
        """See :class:`Decoder`; the class token is left out."""
        layout = masked_layout(latent, token_mask)
        return Latent(layout.pack(self(latent, token_mask)[:, 1:]), layout)

    def forward(self, latent: Latent, token_mask: TokenMask) -> Tensor:
        """A feature of every token, class token first: (B, 1 + L, D)."""
        full = self.arrange(latent)
        masked = torch.nn.functional.pad(
            token_mask.masked, (1, 0), value=False)[..., None]
        for block in self.decoder_blocks:
            asking = torch.where(masked, block.ln1(full), full)
            changed = block.feed_forward(
                block.add(full, block.attn(asking)))
            full = torch.where(masked, changed, full)
        return self.decoder_pred(self.decoder_norm(full))
