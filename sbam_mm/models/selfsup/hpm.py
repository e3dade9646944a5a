# Copyright (c) OpenMMLab. All rights reserved.
"""HPM: the model says which patches are hard, and is made to predict them.

Source: Wang et al., *Hard Patches Mining for Masked Image Modeling*, CVPR
2023. Masks, predictions, losses and gradients equal the official code's.
"""
import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
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
        backbone (dict): ``MaskedViT``.
        masker (dict, optional): Any masker. Defaults to None: ``HPMMasker``
            with its defaults.
        neck (dict): ``MAEDecoder``; the second decoder has its shape.
        head (dict): ``PixelHead``.
        learning (str): "relative", to rank the masked patches of an image by
            their loss (:func:`ranking_loss`), or "absolute", to predict the
            loss standardised within the image's masked patches by least
            squares. Defaults to "relative", as in the paper.
        momentum (float): Of the teacher; see :class:`MomentumCopy`. Defaults
            to 0.999.
        end_momentum (float): Defaults to 0.9999.
        ramp_epochs (int): Epochs on the straight line between the two.
            Defaults to 100.
        **kwargs: Options of :class:`MaskedImageModel`.

    Raises:
        UserError: At build time, if a part does not fit.

    Example:
        >>> size = dict(img_size=32, patch_size=8)
        >>> model = HPM(
        ...     backbone=dict(type='sbam_mm.MaskedViT', arch='tiny', **size),
        ...     neck=dict(
        ...         type='sbam_mm.MAEDecoder', embed_dim=192, **size),
        ...     head=dict(type='sbam_mm.PixelHead', patch_size=8))
        >>> out = model.loss(torch.randn(4, 3, 32, 32))
        >>> sorted(out)[:2]
        ['loss_pixel', 'loss_predict']
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
        if learning not in LEARNING:
            raise UserError(
                f'learning must be one of {LEARNING}, got {learning!r}.')
        super().__init__(
            backbone=backbone,
            masker=HPMMasker() if masker is None else masker,
            neck=neck,
            head=head,
            **kwargs)
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
        """One training step.

        Args:
            inputs (Tensor): Normalised images, (B, C, H, W).
            data_samples (list, optional): With stored maps, where the masker
                asks for them.

        Returns:
            dict[str, Tensor]: ``loss_pixel``, the reconstruction's,
            ``loss_predict``, the loss predictor's, and the mask's statistics.
        """
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
        """How wrong the predicted losses of masked patches are.

        Args:
            predicted (Tensor): (B, L).
            patch_loss (Tensor): The reconstruction's, (B, L), no gradient.
            token_mask (TokenMask): ``masked`` says which patches count.

        Returns:
            Tensor: A scalar.
        """
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
        """Let the teachers take their step."""
        super().follow_student()
        if self.training:
            self.loss_teacher.follow(self.loss_predictor())

    def providers(self) -> dict[str, Provider]:
        """As for every method, and what the loss predictor says."""
        return {**super().providers(), 'predicted_loss': ask_predictor}


def ask_predictor(model: HPM, batch: Batch) -> Tensor:
    """How hard each patch will be, (B, L)."""
    return model.predict_loss(batch.images)
