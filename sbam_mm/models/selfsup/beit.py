# Copyright (c) OpenMMLab. All rights reserved.
"""BEiT: embed -> mask -> encode with mask tokens -> classify visual tokens.

Source: Bao et al., *BEiT: BERT Pre-Training of Image Transformers*, ICLR
2022, section 2.
"""

from torch import nn

from sbam_mm.layers import truncated_normal
from sbam_mm.masking import BlockMasker
from sbam_mm.registry import MODELS

from .mae import MAE


@MODELS.register_module()
class BEiT(MAE):
    """BEiT with any masker.

    As in SimMIM a mask token stands in the encoder where patches are hidden,
    so images are equally long whatever their ratio. What is predicted are
    the visual tokens of DALL-E's tokenizer, from a second picture of half
    the size. The same loss as mmpretrain's ``BEiT`` with ``BEiTV1Head`` for
    the same mask and weights.

    Args:
        backbone (dict): ``MaskedBEiT``, the published ViT.
        masker (dict, optional): Defaults to None: 75 of 196 patches in
            blocks, as the official code; the paper says 40 %.
        neck (dict): ``LinearDecoder`` with ``out_dims=8192``.
        head (dict): ``DalleHead``.
        **kwargs: Options of :class:`MAE`.
    """
    in_place = True
    no_weight_decay = ('cls_token', 'pos_embed')

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(backbone, masker or BlockMasker(75 / 196), **kwargs)
        nn.init.trunc_normal_(self.mask_token, std=.02)

    def init_weights(self) -> None:
        """A truncated normal for what reads the tokens."""
        super().init_weights()
        truncated_normal(self.neck)
