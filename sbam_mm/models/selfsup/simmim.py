# Copyright (c) OpenMMLab. All rights reserved.
"""SimMIM: embed -> mask -> encode with mask tokens -> linear -> L1 on masked.

Source: Xie et al., *SimMIM: A Simple Framework for Masked Image Modeling*,
CVPR 2022. The paper masks squares of 32 x 32 pixels, which is ``cell=2`` in a
masker of 16 x 16 patches.
"""

from torch import nn

from sbam_mm.masking import RandomMasker
from sbam_mm.registry import MODELS

from .mae import MAE


@MODELS.register_module()
class SimMIM(MAE):
    """SimMIM with a ViT and any masker.

    A training step is MAE's with another way to predict: a mask token takes
    the place of masked patches *in the encoder*, and one linear layer reads
    their pixels off. So all images are equally long, whatever their masking
    ratio; only thrown tokens (AMT) leave the sequence. The official code adds
    1e-5 to the number of masked pixels that the loss is the mean over, which
    float32 cannot tell apart from one masked patch on.

    Args:
        backbone (dict): ``MaskedBEiT`` (shared relative positions and layer
            scale: the published ViT recipe), or ``MaskedViT`` with
            ``learned_position=True`` (absolute positions, as AMT uses).
        masker (dict, optional): Defaults to None: SimMIM's, 0.6 of the
            squares of 2 x 2 tokens, at random, rounded up.
        neck (dict): ``LinearDecoder``.
        head (dict): ``PixelHead`` with ``criterion='L1', norm_pix=False``.
        **kwargs: Options of :class:`MaskedImageModel`.

    Example:
        >>> import torch
        >>> model = SimMIM(
        ...     backbone=dict(
        ...         type='sbam_mm.MaskedViT', arch='tiny', img_size=32,
        ...         patch_size=8, learned_position=True),
        ...     neck=dict(
        ...         type='sbam_mm.LinearDecoder', embed_dim=192,
        ...         patch_size=8),
        ...     head=dict(
        ...         type='sbam_mm.PixelHead', patch_size=8, criterion='L1',
        ...         norm_pix=False))
        >>> out = model.loss(torch.randn(2, 3, 32, 32))
        >>> out['visible_tokens']  # 1 of the 4 squares
        tensor(4.)
    """
    in_place = True
    no_weight_decay: tuple[str, ...] = ('cls_token', 'mask_token', 'pos_embed')

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(
            backbone, masker or RandomMasker(0.6, rounding='floor', cell=2),
            **kwargs)
        nn.init.trunc_normal_(self.mask_token, std=.02)
