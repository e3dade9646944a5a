# Copyright (c) OpenMMLab. All rights reserved.
"""Pixels as the target of the reconstruction."""

import torch
from torch import Tensor

from sbam_mm.errors import UserError, check_choice
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.masked_encoder import Latent
from sbam_mm.models.losses.masked_mean import REDUCTIONS, masked_mean
from sbam_mm.registry import MODELS

from .head import Head

CRITERIA = {'L1': torch.abs, 'L2': torch.square}


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Cut images into patches: (B, C, H, W) -> (B, L, patch_size**2 * C).

    Values of a patch run over rows, columns and channels, as in MAE.
    """
    p = patch_size
    x = images.unflatten(3, (-1, p)).unflatten(2, (-1, p))
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def unpatchify(patches: Tensor, grid: tuple[int, int],
               patch_size: int) -> Tensor:
    """Inverse of :func:`patchify` for a grid (h, w): -> (B, C, H, W)."""
    p = patch_size
    x = patches.unflatten(2, (p, p, -1)).unflatten(1, grid)
    return x.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


@MODELS.register_module()
class PixelHead(Head):
    """Error on the pixels of masked patches, Eq. 2 of the SBAM paper.

    Args:
        patch_size (int): Pixels.
        norm_pix (bool): Normalise every target patch by its own mean and
            standard deviation (unbiased, 1e-6 inside the root).
        criterion (str): "L2", the squared error (MAE), or "L1", the
            absolute error (SimMIM, section 3.4).
        reduction (str): "token" or "sample", see
            :func:`sbam_mm.models.losses.masked_mean`.
    """

    takes_masked = True
    predicts_pixels = True

    def __init__(self,
                 patch_size: int = 16,
                 norm_pix: bool = True,
                 criterion: str = 'L2',
                 reduction: str = 'token'):
        super().__init__()
        check_choice('reduction', reduction, REDUCTIONS)
        check_choice('criterion', criterion, CRITERIA)
        self.patch_size = patch_size
        self.criterion = criterion
        self.norm_pix = norm_pix
        self.reduction = reduction

    def target(self, images: Tensor) -> Tensor:
        """What is to be predicted: (B, C, H, W) -> (B, L, P), float32."""
        return self._standardised(patchify(images, self.patch_size))

    def _standardised(self, patches: Tensor) -> Tensor:
        patches = patches.float()
        if self.norm_pix:
            mean, std = self._patch_stats(patches)
            patches = (patches - mean) / std
        return patches

    def _patch_stats(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        var, mean = torch.var_mean(patches, dim=-1, keepdim=True)
        return mean, (var + 1e-6).sqrt()

    def loss(self, prediction: Tensor | Latent, images: Tensor,
             token_mask: TokenMask) -> Tensor:
        """See :class:`Head`; images are as the encoder saw them."""
        if isinstance(prediction, Latent):
            layout = prediction.layout
            patches = layout.pack(patchify(images, self.patch_size))
            error = self._error(prediction.packed, self._standardised(patches))
            error = layout.unpack(error[:, None], error.new_zeros(()))[..., 0]
            return masked_mean(error, layout.keep, self.reduction)
        error = self.patch_loss(prediction, images)
        return masked_mean(error, token_mask.masked, self.reduction)

    def patch_loss(self, prediction: Tensor, images: Tensor) -> Tensor:
        """Mean loss of every patch, masked or not, float32 (B, L)."""
        return self._error(prediction, self.target(images))

    def _error(self, prediction: Tensor, target: Tensor) -> Tensor:
        if prediction.shape[-1] != target.shape[-1]:
            raise UserError(
                f'the decoder predicts {prediction.shape[-1]} values for each '
                f'patch, of which {self.patch_size} x {self.patch_size} '
                f'pixels have {target.shape[-1]}: set in_channels='
                f'{target.shape[-1] // self.patch_size**2} of model.neck '
                f'(CAE: out_dims={target.shape[-1]}), and one patch_size '
                'everywhere.')
        difference = prediction.float() - target
        return CRITERIA[self.criterion](difference).mean(dim=-1)

    def to_images(self, prediction: Tensor, images: Tensor) -> Tensor:
        """Predictions as images, for pictures: (B, L, P) -> (B, C, H, W).

        With ``norm_pix`` the network predicts patches without their mean and
        contrast; both are taken from the true patches, so the picture shows
        the predicted structure at the true brightness.
        """
        prediction = prediction.float()
        if self.norm_pix:
            mean, std = self._patch_stats(
                patchify(images, self.patch_size).float())
            prediction = prediction * std + mean
        p = self.patch_size
        grid = (images.shape[2] // p, images.shape[3] // p)
        return unpatchify(prediction, grid, p)
