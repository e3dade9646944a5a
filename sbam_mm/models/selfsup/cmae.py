# Copyright (c) OpenMMLab. All rights reserved.
"""CMAE: MAE, and a contrast of the decoded view with a shifted whole one.

Source: Huang et al., *Contrastive Masked Autoencoders are Stronger Vision
Learners*, 2022. Agrees with the official code's numbers.
"""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import TokenMask
from sbam_mm.models.teachers.momentum import MomentumCopy
from sbam_mm.registry import MODELS, build_part

from .base import MaskedImageModel

DEFAULT_TARGET = dict(type='sbam_mm.MomentumTeacher', momentum=0.996)


@MODELS.register_module()
class CMAE(MaskedImageModel):
    """Contrastive masked autoencoder with any masker, per-image ratios too.

    The online encoder sees the visible patches of one view. A pixel decoder
    predicts the masked ones; a feature decoder predicts every patch, and the
    mean over patches goes through projector and predictor. The momentum
    encoder sees all of the other view, shifted by some pixels and changed in
    colour (``PixelShift``), and the mean over its patches, before the final
    norm, goes through a momentum projector. The two ends are contrasted.

    The paper keeps MAE's settings; the official code hides 0.65 of squares
    of 2 x 2 patches, which its author says is for performance:
    ``masker=dict(type='sbam_mm.RandomMasker', ratio=0.65, cell=2)``. The
    contrastive loss may rise after the warm-up, and a small global batch
    costs accuracy (issues of the official repository), so both losses are
    logged.

    Args:
        backbone (dict): ``MaskedViT``.
        neck (dict): ``MAEDecoder`` that predicts pixels.
        head (dict): ``PixelHead``.
        feature_decoder (dict): ``MAEDecoder`` with ``predict_feature_dim``
            the encoder's width.
        projector (dict): mmpretrain's ``NonLinearNeck``.
        contrast (dict): ``InfoNCEHead``, which has the predictor.
        target (dict): ``MomentumTeacher``, by default of constant momentum
            0.996; the momentum projector follows at its pace.
        **kwargs: ``masker``, ``teacher`` and other options of
            :class:`MaskedImageModel`.
    """

    no_weight_decay = ('cls_token', 'mask_token', 'pos_embed')

    def __init__(self,
                 backbone: dict | nn.Module,
                 feature_decoder: dict | nn.Module,
                 projector: dict | nn.Module,
                 contrast: dict | nn.Module,
                 target: dict | nn.Module = DEFAULT_TARGET,
                 contrast_weight: float = 1.,
                 pixel_weight: float = 1.,
                 **kwargs):
        super().__init__(backbone, target=target, **kwargs)
        self.feature_decoder = build_part(feature_decoder)
        self.projector = build_part(projector)
        self.target_projector = MomentumCopy(self.projector,
                                             **self.target.options)
        self.contrast = build_part(contrast)
        self.contrast_weight = contrast_weight
        self.pixel_weight = pixel_weight

    def train(self, mode: bool = True) -> 'CMAE':
        """The momentum projector normalises by the batch, as the online."""
        super().train(mode)
        self.target_projector.module.train(mode)
        return self

    def loss(self,
             inputs: Tensor | Sequence[Tensor],
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss_contrast`` and ``loss_pixel``, both with their weights.

        ``inputs`` are the online and the target view, each (B, C, H, W);
        stored maps are those of the online view.
        """
        if isinstance(inputs, Tensor) or len(inputs) != 2:
            raise UserError(
                'CMAE contrasts two views of every image; add '
                "dict(type='sbam_mm.PixelShift') before PackInputs.")
        online, other = inputs
        self.grid(other)
        self.follow_student()
        tokens = self.embed(online)
        token_mask = self.mask(tokens, online, data_samples)
        latent = self.encode(tokens, token_mask, online)
        pixels = self.decode(latent, token_mask)
        features = self.feature_decoder(latent, token_mask)
        projection = self.projector((patch_mean(features, token_mask), ))[0]
        pixel = self.head.loss(pixels, online, token_mask)
        target = self.target_projection(other)
        contrast = self.contrast.loss(projection, target)
        return dict(
            loss_contrast=self.contrast_weight * contrast,
            loss_pixel=self.pixel_weight * pixel,
            **token_mask.statistics())

    def follow_student(self) -> None:
        super().follow_student()
        if self.training:
            self.target_projector.follow(self.projector)

    @torch.no_grad()
    def target_projection(self, images: Tensor) -> Tensor:
        """What is to be recognised: (B, C, H, W) -> (B, D), no gradient."""
        mean = self.target.tokens(images).mean(dim=1)
        return self.target_projector.module((mean, ))[0]


def patch_mean(features: Tensor, token_mask: TokenMask) -> Tensor:
    """Mean over an image's patches, (B, L, D) -> (B, D), thrown ones out."""
    if token_mask.thrown is None:
        return features.mean(dim=1)
    kept = ~token_mask.thrown[..., None]
    return (features * kept).sum(dim=1) / kept.sum(dim=1)
