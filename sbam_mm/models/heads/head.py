# Copyright (c) OpenMMLab. All rights reserved.
"""What a head is: it makes the target, and the loss of a prediction."""
from abc import abstractmethod

from mmengine.model import BaseModule
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.masked_encoder import Latent


class Head(BaseModule):
    """From predictions to a loss on masked patches.

    Attributes:
        takes_masked (bool): Whether :meth:`loss` takes predictions of the
            masked patches alone, too, or of some.
        predicts_pixels (bool): Whether it has ``to_images`` and
            ``patch_loss``, as :class:`sbam_mm.PixelHead`.
        second_picture (bool): Whether the target is made of a second picture
            of each image.
    """
    takes_masked: bool = False
    predicts_pixels: bool = False
    second_picture: bool = False

    @abstractmethod
    def loss(self, prediction: Tensor | Latent, images: Tensor,
             token_mask: TokenMask) -> Tensor:
        """Loss on masked tokens, a float32 scalar whatever the autocast.

        Args:
            prediction (Tensor or Latent): Of every patch, (B, L, P), or with
                ``takes_masked`` of masked ones alone, (T, P), which count.
            images (Tensor): What the target is made of, (B, C, H, W).
            token_mask (TokenMask): ``masked`` says which of all count.
        """


def pictures_for(head: nn.Module, inputs: Tensor | list[Tensor]
                 ) -> tuple[Tensor, Tensor]:
    """What a model sees of a batch, and what its head makes targets of.

    Args:
        inputs (Tensor or list[Tensor]): Images (B, C, H, W), or these and
            the second picture of each, see ``Head.second_picture``.

    Raises:
        UserError: If the head wants a second picture and there is none.
    """
    if isinstance(inputs, Tensor):
        if head.second_picture:
            raise UserError(
                f'{type(head).__name__} wants a second picture of every '
                'image, but the pipeline makes one; put '
                'RandomResizedCropAndInterpolationWithTwoPic into '
                'train_pipeline and TwoNormDataPreprocessor into '
                'data_preprocessor.')
        return inputs, inputs
    return inputs[0], inputs[1] if head.second_picture else inputs[0]
