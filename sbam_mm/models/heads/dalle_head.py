# Copyright (c) OpenMMLab. All rights reserved.
"""Visual tokens of DALL-E as the target of the prediction."""
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sbam_mm.errors import UserError, check_choice
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.masked_encoder import Latent
from sbam_mm.models.checkpoint import load_weights
from sbam_mm.models.losses.masked_mean import REDUCTIONS, masked_mean
from sbam_mm.models.masked_places import masked_places
from sbam_mm.registry import MODELS

from .head import Head


@MODELS.register_module()
class DalleHead(Head):
    """Cross-entropy with the tokens that DALL-E's encoder gives each patch.

    The tokenizer is mmpretrain's ``DALL-E``; it is frozen. One of its tokens
    covers 8 x 8 pixels, so images of half the size match patches of 16.

    Source: Bao et al., *BEiT*, ICLR 2022; the target of Chen et al., *Context
    Autoencoder for Self-Supervised Representation Learning*, IJCV 2023.

    Args:
        checkpoint (str): Weights of the tokenizer, a file or URL:
            mmpretrain's ``dalle_encoder.pth``, named in its CAE config. They
            are not part of this package.
        tokenizer (dict, optional): Options of mmpretrain's ``DALL-E``.
            Defaults to None: the published 8192 tokens.
        reduction (str): "token" or "sample", see
            :func:`sbam_mm.models.losses.masked_mean`.
    """

    takes_masked = True
    second_picture = True  # of another size and scale

    def __init__(self,
                 checkpoint: str,
                 tokenizer: dict | None = None,
                 reduction: str = 'token'):
        super().__init__()
        check_choice('reduction', reduction, REDUCTIONS)
        if '://' not in checkpoint and not Path(checkpoint).is_file():
            raise UserError(
                f'the weights of DALL-E\'s tokenizer are not at {checkpoint}; '
                "download mmpretrain's dalle_encoder.pth and set "
                'model.head.checkpoint to it, or predict pixels with '
                "model.head=dict(type='sbam_mm.PixelHead') and "
                'model.neck.out_dims=patch_size**2 * 3.')
        self.reduction = reduction
        self.tokenizer = MODELS.build(dict(tokenizer or {}, type='DALL-E'))
        # Every weight: a tokenizer that is partly random gives wrong tokens.
        load_weights(self.tokenizer, checkpoint, min_share=1.)
        self.tokenizer.requires_grad_(False)

    def init_weights(self) -> None:
        """Keeps what was loaded."""

    @torch.no_grad()
    def target(self, images: Tensor) -> Tensor:
        """The likeliest token of every patch, int64 (B, h * w).

        Images, (B, 3, 8h, 8w), are scaled as DALL-E wants: 0.1 + 0.8 * x for
        pixels x in [0, 1].
        """
        return self.tokenizer(images).argmax(dim=1).flatten(1)

    def loss(
            self, prediction: Tensor | Latent, images: Tensor,
            token_mask: TokenMask) -> Tensor:
        """See :class:`Head`; predictions are logits, (B, L, vocabulary)."""
        masked = token_mask.masked
        target = self.target(images)
        if target.shape != masked.shape:
            height, width = images.shape[-2:]
            raise UserError(
                f'the tokenizer makes {target.shape[1]} tokens of images of '
                f'{height} x {width} pixels, the encoder has '
                f'{masked.shape[1]} patches; give target images of 8 pixels '
                'per patch with RandomResizedCropAndInterpolationWithTwoPic('
                'second_size=112).')
        if isinstance(prediction, Latent):
            masked = prediction.layout.keep
            place, logits = prediction.layout.index, prediction.packed
        else:
            place = masked_places(token_mask)
            logits = prediction.flatten(0, 1).index_select(0, place)
        wrong = cross_entropy(
            logits.float(), target.flatten()[place], reduction='none')
        values = wrong.new_zeros(masked.numel()).index_copy(0, place, wrong)
        return masked_mean(values.view(masked.shape), masked, self.reduction)
