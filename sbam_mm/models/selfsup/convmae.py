# Copyright (c) OpenMMLab. All rights reserved.
"""ConvMAE: mask -> masked convolutions -> visible tokens -> decode -> loss.

Source: Gao et al., *MCMAE: Masked Convolution Meets Masked Autoencoders*,
NeurIPS 2022.
"""
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import evaluation_mode
from sbam_mm.masking import (
    AttentionSalience,
    MaskingContext,
    NoSalience,
    PredictedLoss,
    StoredSalience,
    TokenMask,
)
from sbam_mm.models.backbones import ConvViT
from sbam_mm.models.teachers import MomentumTeacher
from sbam_mm.registry import MODELS

from .base import MaskedImageModel
from .mae import Reconstruction, reconstruction_loss

# These ask the model or nobody; any other salience looks at the tokens.
BLIND = (NoSalience, AttentionSalience, StoredSalience, PredictedLoss)


def looks_at_tokens(masker: nn.Module) -> bool:
    """Whether a masker's scores come from ``context.tokens``."""
    salience = getattr(masker, 'salience', None)
    # After a block (layer > 0) it asks for 'layer_tokens' instead.
    return not isinstance(salience, BLIND) and not getattr(
        salience, 'layer', 0)


@torch.no_grad()
def momentum_attention(teacher: ConvViT, inputs: Tensor, *args) -> Tensor:
    """Attention in the moving average of the encoder, (B, heads, L)."""
    return teacher.attention(teacher.tokens(inputs), *args)


@MODELS.register_module()
class ConvMAE(MaskedImageModel):
    """Masked autoencoder with a convolutional start, with any masker.

    **Where the mask is.** Maskers decide on the last grid (14 x 14 for 224
    pixels); the encoder spreads their mask over the finer stages.

    **What SBAM looks at.** MAE's tokens are there before anything is hidden;
    here they come after two stages of convolutions that must not see what
    will be hidden. With ``backbone.look_at='stage3'`` the salience comes from
    the tokens that enter the transformer when nothing is hidden, positions
    included: the counterpart of MAE's, at the price of one pass without
    gradient through the convolution stages. With "stage1" it comes from the
    first strided convolution's output averaged over each patch, without
    positions: next to free, and each score knows its own patch alone. Random,
    block and other maskers without token salience never pay for the pass. The
    papers leave this open.

    Attention that maskers ask for is the transformer's on whole images; it
    has no class token, so ``AttentionSalience`` wants ``queries='all'``.

    Args:
        backbone (dict): ``ConvViT``.
        masker (dict): Any masker. Defaults to random masking at 0.75.
        neck (dict): ``MAEDecoder``.
        head (dict): ``PixelHead``.
        teacher (dict, optional): For maskers that ask for one. Defaults to
            None.
        **kwargs: Options of mmpretrain's ``BaseSelfSupervisor``.

    Raises:
        UserError: If the masker wants a class token's attention.

    Example:
        >>> arch = dict(embed_dims=(8, 16, 24), depths=(1, 1, 2), num_heads=3)
        >>> model = ConvMAE(
        ...     backbone=dict(type='sbam_mm.ConvViT', arch=arch, img_size=32,
        ...                   patch_sizes=(2, 2, 2)),
        ...     masker=dict(type='sbam_mm.SBAM'),
        ...     neck=dict(type='sbam_mm.MAEDecoder', embed_dim=24,
        ...               img_size=32, patch_size=8),
        ...     head=dict(type='sbam_mm.PixelHead', patch_size=8))
        >>> out = model.loss(torch.randn(4, 3, 32, 32))
        >>> sorted(out)[:2]
        ['loss', 'mask_ratio']
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for part in self.masker.modules():
            if (isinstance(part, AttentionSalience) and part.queries == 'cls'
                    and (part.source == 'self'
                         or isinstance(self.teacher, MomentumTeacher))):
                raise UserError(
                    f'{type(self.masker).__name__} asks for the attention of '
                    'the class token, which ConvMAE does not have; give it '
                    "an AttentionSalience with queries='all', or a "
                    'FrozenTeacher with a ViT as model.teacher.')

    def loss(self,
             inputs: Tensor,
             data_samples: list | None = None) -> dict[str, Tensor]:
        """One training step.

        Args:
            inputs (Tensor): Normalised images, (B, C, H, W).
            data_samples (list, optional): With stored maps, where the masker
                asks for them.

        Returns:
            dict[str, Tensor]: ``loss``, and the mask's statistics.
        """
        self.follow_student()
        token_mask = self.mask(self.look(inputs), inputs, data_samples)
        latent = self.backbone.encode(inputs, token_mask)
        loss = reconstruction_loss(self, latent, inputs, token_mask)
        return dict(loss=loss, **token_mask.statistics())

    def look(self, inputs: Tensor) -> Tensor:
        """What the masker looks at: (B, C, H, W) -> (B, L, D)."""
        if looks_at_tokens(self.masker):
            return self.backbone.embed(inputs)
        return self.backbone.patch_average(inputs)

    def context(self,
                tokens: Tensor,
                inputs: Tensor,
                data_samples: list | None = None) -> MaskingContext:
        """What the masker may look at.

        Args:
            tokens (Tensor): Of the backbone's ``embed``, (B, L, D).
            inputs (Tensor): The images they come from, (B, C, H, W).
            data_samples (list, optional): With the pipeline's maps.
                Defaults to None.
        """
        context = super().context(tokens, inputs, data_samples)
        entering = cache(partial(self._entering, inputs))
        providers: dict[str, Callable[..., Tensor | None]] = dict(
            context.providers,
            attention=lambda *args: self.backbone.attention(
                entering(), *args),
            layer_tokens=lambda layer: self.backbone.layer_tokens(
                entering(), layer),
            position=partial(self._position, tokens, context.grid))
        if isinstance(self.teacher, MomentumTeacher):
            providers['teacher_attention'] = partial(
                momentum_attention, self.teacher.vit, inputs)
        return replace(context, providers=providers)

    @torch.no_grad()
    def _entering(self, inputs: Tensor) -> Tensor:
        """What enters the transformer when nothing is hidden."""
        with evaluation_mode(self.backbone):
            return self.backbone.tokens(inputs)

    def _position(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """The positions that are in what the masker looks at."""
        if self.backbone.look_at == 'stage1':
            return torch.zeros_like(tokens)
        return self.backbone.position(grid)

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
        if token_mask is None:
            token_mask = self.mask(self.look(inputs), inputs)
        latent = self.backbone.encode(inputs, token_mask)
        prediction = self.neck(latent, token_mask)
        return Reconstruction(
            self.head.to_images(prediction, inputs), token_mask)
