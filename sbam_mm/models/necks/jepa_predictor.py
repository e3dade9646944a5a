# Copyright (c) OpenMMLab. All rights reserved.
"""I-JEPA's predictor: MAE's decoder, narrow, for one target at a time."""
import torch
from torch import Tensor

from sbam_mm.layers import PackedLayout
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.masked_encoder import Latent
from sbam_mm.registry import MODELS

from .mae_decoder import MAEDecoder, run_unthrown


@MODELS.register_module()
class JEPAPredictor(MAEDecoder):
    """Predict the encoder's tokens at target blocks, each from the context.

    A block is predicted by the context's tokens and mask tokens at the
    block's places, which attend to each other; other targets have no part.

    Source: Assran et al., *Self-Supervised Learning from Images with a
    Joint-Embedding Predictive Architecture*, CVPR 2023, section 3 and
    appendix A.1: 384 wide, 6 blocks deep for ViT-B, 12 for ViT-L and -H, with
    as many heads as the encoder.

    Args:
        embed_dim (int): Width of the encoder, and of what is predicted.
        decoder_embed_dim (int): Width of the predictor.
        **kwargs: Other options of :class:`MAEDecoder`.
    """
    takes_options_of = MAEDecoder

    def __init__(self,
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int = 16,
                 embed_dim: int = 768,
                 decoder_embed_dim: int = 384,
                 decoder_depth: int = 6,
                 decoder_num_heads: int = 12,
                 **kwargs):
        super().__init__(
            img_size,
            patch_size,
            embed_dim,
            decoder_embed_dim,
            decoder_depth,
            decoder_num_heads,
            predict_feature_dim=embed_dim,
            **kwargs)

    def predict_targets(self, latent: Latent, targets: Tensor) -> Latent:
        """Predict every target from what was encoded of its image.

        Args:
            targets (Tensor): Boolean, (B, T, L), True where a token belongs
                to the target; none of them is among the encoded.

        Returns:
            Latent: (S, embed_dim), and where these tokens stand in (B * T, L).
        """
        full = self.arrange(latent)
        extra = full.shape[1] - targets.shape[2]
        seen = latent.layout.keep[:, None, extra:]
        alone = TokenMask(
            targets.flatten(0, 1), thrown=~(seen | targets).flatten(0, 1))
        decoded = run_unthrown(
            self.decoder_blocks,
            torch.repeat_interleave(full, targets.shape[1], dim=0), alone)
        layout = PackedLayout(alone.masked)
        tokens = layout.pack(decoded[:, extra:])
        return Latent(self.decoder_pred(self.decoder_norm(tokens)), layout)
