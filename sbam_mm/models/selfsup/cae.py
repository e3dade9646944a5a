# Copyright (c) OpenMMLab. All rights reserved.
"""CAE: encode the visible -> regress the masked latents -> decode -> losses.

Source: Chen et al., *Context Autoencoder for Self-Supervised Representation
Learning*, IJCV 2023.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from sbam_mm.errors import UserError
from sbam_mm.layers import PackedLayout
from sbam_mm.masking import TokenMask
from sbam_mm.models.heads import pictures_for
from sbam_mm.models.losses import masked_mean
from sbam_mm.models.necks.context_regressor import Regression
from sbam_mm.registry import MODELS

from .base import MaskedImageModel


def check_pixels(encoder: nn.Module, neck: nn.Module,
                 head: nn.Module) -> None:
    """Stop if pixels are the target and the neck makes another number."""
    patch = getattr(head, 'patch_size', None)
    made = getattr(getattr(neck, 'head', None), 'out_features', None)
    projection = getattr(encoder.patch_embed, 'projection', None)
    if patch is None or made is None or projection is None:
        return
    wanted = patch**2 * projection.in_channels
    if made != wanted:
        raise UserError(
            f'neck.out_dims={made} is not the number of values in a patch of '
            f'{patch} x {patch} pixels; set model.neck.out_dims={wanted}.')


@MODELS.register_module()
class CAE(MaskedImageModel):
    """Context autoencoder with any masker, per-image ratios included.

    **Target.** The paper's is DALL-E's visual tokens: ``DalleHead``, which
    needs the tokenizer's weights and two images per sample (mmpretrain's
    ``RandomResizedCropAndInterpolationWithTwoPic`` and
    ``TwoNormDataPreprocessor``). With ``PixelHead`` the model predicts
    normalised pixels as MAE does and needs neither; the paper's numbers are
    not to be expected then.

    **Alignment.** The regressor's latents are drawn to what the encoder
    makes of the masked patches, without gradient. The paper's target is the
    same encoder. mmpretrain copies the student after the target is computed,
    so its target is one step old; its ``base_momentum`` is ``target=dict(
    type='sbam_mm.MomentumTeacher', momentum=...)`` here.

    **Encoder.** ``MaskedViT`` with ``layer_cfgs=dict(
    layer_scale_init_value=0.1)``. mmpretrain's encoder computes the same (a
    bias on the keys drops out of the softmax) but wants equal numbers of
    visible patches; with stochastic depth it drops the feed-forward branch
    twice.

    Args:
        masker (dict, optional): The paper hides 98 of 196 patches in blocks:
            ``BlockMasker(ratio=0.5)``. Defaults to None: random masking at
            0.75.
        neck (dict): ``ContextRegressor``.
        head (dict): ``DalleHead`` (the paper) or ``PixelHead``.
        align_weight (float): Weight of the alignment.
        target (dict, optional): A ``MomentumTeacher`` that computes the
            alignment's target. Defaults to None: the encoder itself.
        **kwargs: Options of :class:`MaskedImageModel`.
    """

    no_weight_decay = ('cls_token', 'pos_embed')

    def __init__(self,
                 backbone: dict | nn.Module,
                 align_weight: float = 2.,
                 target: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(backbone, target=target, **kwargs)
        check_pixels(self.backbone, self.neck, self.head)
        self.align_weight = align_weight

    def loss(self,
             inputs: Tensor | list[Tensor],
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss``, and its parts ``reconstruction`` and ``alignment``."""
        images, targets = pictures_for(self.head, inputs)
        self.follow_student()
        tokens = self.embed(images)
        token_mask = self.mask(tokens, images, data_samples)
        regression = self.regress(tokens, token_mask, images)
        prediction = regression.prediction
        reconstruction = self.head.loss(
            prediction if self.head.takes_masked else prediction.to_dense(),
            targets, token_mask)
        alignment = self.align_weight * self.misalignment(
            regression, tokens, token_mask, images)
        return dict(
            loss=reconstruction + alignment,
            reconstruction=reconstruction.detach(),
            alignment=alignment.detach(),
            **token_mask.statistics())

    def regress(self, tokens: Tensor, token_mask: TokenMask,
                images: Tensor) -> Regression:
        """Latents and predictions of the masked patches."""
        latent = self.backbone.encode(tokens, token_mask)
        position = self.backbone.position(self.backbone.grid(images))
        return self.neck(latent, token_mask, position[:, 1:])

    def misalignment(self, regression: Regression, tokens: Tensor,
                     token_mask: TokenMask, images: Tensor) -> Tensor:
        """Squared error to the masked patches as the encoder sees them."""
        target = self.masked_latent(tokens, token_mask, images,
                                    regression.latent.layout)
        error = regression.latent.to_dense().float() - target.float()
        return masked_mean(
            error.square().mean(dim=-1), token_mask.masked,
            self.head.reduction)

    @torch.no_grad()
    def masked_latent(self, tokens: Tensor, token_mask: TokenMask,
                      images: Tensor,
                      layout: PackedLayout | None = None) -> Tensor:
        """What the encoder makes of the masked patches alone, (B, L, D).

        ``layout`` is theirs, where it is known already.
        """
        encoder = self.backbone
        if self.target is not None:
            encoder = self.target.vit
            tokens = encoder.embed(images)
        layout = layout or PackedLayout(token_mask.masked)
        with_cls = layout.beside(
            pad(token_mask.masked, (1, 0), value=True),
            [1 + count for count in layout.lengths])
        return encoder.encode(
            tokens, TokenMask(~token_mask.masked),
            layout=with_cls).to_dense()[:, 1:]

    def predict(self, tokens: Tensor, token_mask: TokenMask,
                inputs: Tensor) -> Tensor:
        """Masked patches, (B, L, D) -> (B, L, P); 0 where visible."""
        regression = self.regress(tokens, token_mask, inputs)
        return regression.prediction.to_dense()
