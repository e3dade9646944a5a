# Copyright (c) OpenMMLab. All rights reserved.
"""A second decoder beside MAE's, that predicts one number per patch."""
from copy import deepcopy
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from sbam_mm.errors import UserError
from sbam_mm.layers import xavier_linear
from sbam_mm.masking import TokenMask

from .mae_decoder import run_unthrown


class ScoreDecoder(BaseModule):
    """Blocks of its own on the tokens that enter MAE's decoder blocks.

    It has the depth, width and heads of the first decoder and shares its
    entrance: the projection from the encoder, mask token and positions. The
    score of a patch is the mean of its outputs, which are as many as the
    patch has pixel values. HPM predicts losses with it and GPA attention.

    Source: Wang et al., *Hard Patches Mining for Masked Image Modeling*,
    CVPR 2023; numerically equal to the official code.
    """

    def __init__(self, decoder: Any):
        super().__init__()
        if not getattr(decoder, 'arranges', False):
            raise UserError(
                'a second decoder shares the entrance of the first, and '
                f"{type(decoder).__name__} has none; set neck.type='sbam_mm."
                "MAEDecoder'.")
        self.blocks = deepcopy(decoder.decoder_blocks)
        self.norm = deepcopy(decoder.decoder_norm)
        self.pred = deepcopy(decoder.decoder_pred)

    def init_weights(self) -> None:
        super().init_weights()
        xavier_linear(self)

    def forward(self, full: Tensor, token_mask: TokenMask) -> Tensor:
        """Scores, float32 (B, L), from :meth:`Decoder.arrange`'s tokens."""
        full = run_unthrown(self.blocks, full, token_mask)
        return self.pred(self.norm(full))[:, 1:].float().mean(dim=-1)
