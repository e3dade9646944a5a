# Copyright (c) OpenMMLab. All rights reserved.
"""HPM: the model says which patches are hard, and is made to predict them.

Source: Wang et al., *Hard Patches Mining for Masked Image Modeling*, CVPR
2023. Masks, predictions, losses and gradients equal the official code's.
"""
import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError, check_choice
from sbam_mm.masking import HPMMasker, TokenMask
from sbam_mm.models.losses import masked_mean, ranking_loss, standardize
from sbam_mm.models.necks import ScoreDecoder
from sbam_mm.models.providers import Batch, Provider
from sbam_mm.models.teachers.momentum import MomentumCopy
from sbam_mm.registry import MODELS

from .base import MaskedImageModel

LEARNING = ('relative', 'absolute')


@MODELS.register_module()
class HPM(MaskedImageModel):
    """MAE that also predicts its own reconstruction loss, patch by patch.

    A second decoder beside the first predicts the loss of every masked
    patch. A momentum copy of the encoder and of that decoder, its teacher,
    sees whole images; what it predicts is 'predicted_loss' for
    :class:`HPMMasker`, which hides more and more of the hardest patches. With
    any other masker the loss is still predicted: the paper's ablation in
    which prediction alone helps.

    Args:
        masker (dict, optional): Defaults to None: ``HPMMasker``.
        neck (dict): ``MAEDecoder``; the second decoder has its shape.
        head (dict): ``PixelHead``.
        learning (str): "relative", to rank the masked patches of an image by
            their loss (:func:`ranking_loss`, the paper), or "absolute", to
            predict the loss standardised within the image's masked patches
            by least squares.
        momentum, end_momentum, ramp_epochs: Of the teacher, linear; see
            :class:`MomentumCopy`.
        **kwargs: Options of :class:`MaskedImageModel`.
    """

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 neck: dict | nn.Module | None = None,
                 head: dict | nn.Module | None = None,
                 learning: str = 'relative',
                 momentum: float = 0.999,
                 end_momentum: float = 0.9999,
                 ramp_epochs: int = 100,
                 **kwargs):
        check_choice('learning', learning, LEARNING)
        super().__init__(backbone, masker or HPMMasker(), neck, head, **kwargs)
        if not self.head.predicts_pixels:
            raise UserError(
                'HPM predicts the loss of every patch, which '
                f'{type(self.head).__name__} does not tell; set '
                "head.type='sbam_mm.PixelHead'.")
        self.learning = learning
        self.loss_decoder = ScoreDecoder(self.neck)
        self.loss_teacher = MomentumCopy(
            self.loss_predictor(),
            momentum,
            end_momentum,
            shape='linear',
            ramp_epochs=ramp_epochs)

    def loss(self,
             inputs: Tensor,
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss_pixel``, and ``loss_predict`` of the loss predictor."""
        self.follow_student()
        tokens = self.embed(inputs)
        token_mask = self.mask(tokens, inputs, data_samples)
        latent = self.encode(tokens, token_mask, inputs)
        full = self.neck.arrange(latent)
        prediction = self.neck.decode(full, token_mask)
        patch_loss = self.head.patch_loss(prediction, inputs)
        predicted_loss = self.loss_decoder(full, token_mask)
        return dict(
            loss_pixel=masked_mean(patch_loss, token_mask.masked,
                                   self.head.reduction),
            loss_predict=self.prediction_loss(
                predicted_loss, patch_loss.detach(), token_mask),
            **token_mask.statistics())

    def prediction_loss(self, predicted: Tensor, patch_loss: Tensor,
                        token_mask: TokenMask) -> Tensor:
        """How wrong the predicted losses, (B, L), of masked patches are."""
        masked, reduction = token_mask.masked, self.head.reduction
        if self.learning == 'relative':
            return ranking_loss(predicted, patch_loss, masked, reduction)
        error = predicted - standardize(patch_loss, masked)
        return masked_mean(error.square(), masked, reduction)

    @torch.no_grad()
    def predict_loss(self, images: Tensor) -> Tensor:
        """How hard the teacher thinks each patch is: float32 (B, L)."""
        teacher = self.loss_teacher.module
        # Nothing is hidden, so the mask token takes no part; the positions
        # are a fixed table.
        full = teacher['embed'](teacher['encoder'](images)[0])
        everything = images.new_zeros(
            len(images), full.shape[1] - 1, dtype=torch.bool)
        return teacher['decoder'](full + self.neck.decoder_pos_embed,
                                  TokenMask(everything))

    def loss_predictor(self) -> nn.ModuleDict:
        """The parts that predict the losses of a whole image."""
        return nn.ModuleDict(
            dict(
                encoder=self.backbone,
                embed=self.neck.decoder_embed,
                decoder=self.loss_decoder))

    def follow_student(self) -> None:
        super().follow_student()
        if self.training:
            self.loss_teacher.follow(self.loss_predictor())

    def providers(self) -> dict[str, Provider]:
        return {**super().providers(), 'predicted_loss': ask_predictor}


def ask_predictor(model: HPM, batch: Batch) -> Tensor:
    """How hard each patch will be, (B, L)."""
    return model.predict_loss(batch.images)
