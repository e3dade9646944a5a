# Copyright (c) OpenMMLab. All rights reserved.
"""MAE: embed -> mask -> encode the visible -> decode all -> loss on masked.

Source: He et al., *Masked Autoencoders Are Scalable Vision Learners*, CVPR
2022. With ``masker=dict(type='sbam_mm.SBAM')`` it is the model of Choi et al.,
*Salience-Based Adaptive Masking*, ECCV 2024.
"""
from torch import Tensor

from sbam_mm.models.heads import pictures_for
from sbam_mm.registry import MODELS

from .base import MaskedImageModel


@MODELS.register_module()
class MAE(MaskedImageModel):
    """Masked autoencoder with any masker, per-image ratios included.

    With ``backbone.segment_bias`` and ``sbam_mm.LoadSegments`` in the pipeline
    it is the first phase of Taguchi et al., *SAM Helps SSL*, BMVC 2024: the
    bias is in the encoder, on visible tokens. The decoder, whose tokens are
    mostly mask tokens, has none (the paper has it in "a ViT encoder").

    Args:
        backbone (dict): ``MaskedViT``.
        neck (dict): ``MAEDecoder``.
        head (dict): ``PixelHead``.
        **kwargs: Options of :class:`MaskedImageModel`.

    Example:
        >>> import torch
        >>> size = dict(img_size=32, patch_size=8)
        >>> model = MAE(
        ...     backbone=dict(type='sbam_mm.MaskedViT', arch='tiny', **size),
        ...     masker=dict(type='sbam_mm.SBAM'),
        ...     neck=dict(
        ...         type='sbam_mm.MAEDecoder', embed_dim=192, **size),
        ...     head=dict(type='sbam_mm.PixelHead', patch_size=8))
        >>> out = model.loss(torch.randn(4, 3, 32, 32))
        >>> sorted(out)[:2]
        ['loss', 'mask_ratio']
    """

    follows_guides = True

    def loss(self,
             inputs: Tensor | list[Tensor],
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss``; for a second picture see :func:`pictures_for`."""
        images, targets = pictures_for(self.head, inputs)
        self.follow_student()
        with self.guided(images, data_samples):
            tokens = self.embed(images)
            token_mask = self.mask(tokens, images, data_samples)
            latent = self.encode(tokens, token_mask, images)
            prediction = self.decode(latent, token_mask)
            loss = self.head.loss(prediction, targets, token_mask)
        return dict(loss=loss, **token_mask.statistics())
