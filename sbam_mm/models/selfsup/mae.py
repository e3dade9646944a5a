# Copyright (c) OpenMMLab. All rights reserved.
"""MAE: embed -> mask -> encode the visible -> decode all -> loss on masked.

Source: He et al., *Masked Autoencoders Are Scalable Vision Learners*, CVPR
2022. With ``masker=dict(type='sbam_mm.SBAM')`` it is the model of Choi et al.,
*Salience-Based Adaptive Masking*, ECCV 2024.
"""
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sbam_mm.layers import Attend
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones import Latent
from sbam_mm.registry import MODELS
from sbam_mm.run_switches import is_exact

from .base import MaskedImageModel


class Reconstruction(NamedTuple):
    """What the model makes of masked images.

    Attributes:
        images (Tensor): Predicted pixels of every patch, (B, C, H, W).
        token_mask (TokenMask): What was hidden.
    """
    images: Tensor
    token_mask: TokenMask


def reconstruction_loss(model: MaskedImageModel, latent: Latent,
                        images: Tensor, token_mask: TokenMask) -> Tensor:
    """The head's loss of what the neck predicts.

    Only masked patches enter the loss, so only they are predicted where neck
    and head know how and no token is thrown.

    Args:
        model (MaskedImageModel): Has the neck and the head.
        latent (Latent): From the encoder.
        images (Tensor): (B, C, H, W).
        token_mask (TokenMask): What was hidden.
    """
    neck, head = model.neck, model.head
    if (token_mask.thrown is None and not latent.layout.full
            and not is_exact() and hasattr(neck, 'predict_masked')
            and hasattr(head, 'masked_loss')):
        prediction = neck.predict_masked(latent, token_mask)
        return head.masked_loss(prediction, images, token_mask)
    return head.loss(neck(latent, token_mask), images, token_mask)


@MODELS.register_module()
class MAE(MaskedImageModel):
    """Masked autoencoder with any masker, per-image ratios included.

    Args:
        backbone (dict): ``MaskedViT``.
        masker (dict): Any masker. Defaults to random masking at 0.75.
        neck (dict): ``MAEDecoder``.
        head (dict): ``PixelHead``.
        teacher (dict, optional): For maskers that ask for one. Defaults to
            None.
        **kwargs: Options of mmpretrain's ``BaseSelfSupervisor``.

    With ``backbone.segment_bias`` and ``sbam_mm.LoadSegments`` in the pipeline
    it is the first phase of Taguchi et al., *SAM Helps SSL*, BMVC 2024: the
    bias is in the encoder, on visible tokens. The decoder, whose tokens are
    mostly mask tokens, has none (the paper has it in "a ViT encoder").

    Example:
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

    tells_segments = True

    def loss(self,
             inputs: Tensor,
             data_samples: list | None = None) -> dict[str, Tensor]:
        """One training step.

        Args:
            inputs (Tensor): Normalised images, (B, C, H, W).
            data_samples (list, optional): With stored maps, where the masker
                or the encoder asks for them.

        Returns:
            dict[str, Tensor]: ``loss``, and the mask's statistics.
        """
        self.follow_student()
        tokens = self.backbone.embed(inputs)
        attend = self.backbone.guided(self.segments(inputs, data_samples))
        token_mask = self.mask(tokens, inputs, data_samples, attend=attend)
        latent = self.encode(tokens, token_mask, inputs, attend)
        loss = reconstruction_loss(self, latent, inputs, token_mask)
        return dict(loss=loss, **token_mask.statistics())

    def encode(self,
               tokens: Tensor,
               token_mask: TokenMask,
               inputs: Tensor,
               attend: Sequence[Attend] | None = None) -> Latent:
        """What the encoder makes of the visible ones of (B, L, D)."""
        return self.backbone.encode(tokens, token_mask, attend)

    def predict(self,
                tokens: Tensor,
                token_mask: TokenMask,
                inputs: Tensor,
                attend: Sequence[Attend] | None = None) -> Tensor:
        """Every patch from the visible ones, (B, L, D) -> (B, L, P)."""
        latent = self.encode(tokens, token_mask, inputs, attend)
        return self.neck(latent, token_mask)

    @torch.no_grad()
    def reconstruct(self,
                    inputs: Tensor,
                    token_mask: TokenMask | None = None) -> Reconstruction:
        """Hide patches and predict them, for pictures.

        Args:
            inputs (Tensor): Normalised images, (B, C, H, W).
            token_mask (TokenMask, optional): What to hide. Defaults to None:
                the masker decides.

        Returns:
            Reconstruction: Predicted images and the mask.
        """
        self.grid(inputs)
        tokens = self.backbone.embed(inputs)
        if token_mask is None:
            token_mask = self.mask(tokens, inputs)
        prediction = self.predict(tokens, token_mask, inputs)
        return Reconstruction(
            self.head.to_images(prediction, inputs), token_mask)
