# Copyright (c) OpenMMLab. All rights reserved.
"""BootMAE: predict pixels, and the features of one's own slow copy.

Source: Dong et al., *Bootstrapped Masked Autoencoders for Vision BERT
Pretraining*, ECCV 2022. Agrees with the official code's numbers.
"""
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import TokenMask
from sbam_mm.models.losses import masked_mean
from sbam_mm.models.progress import clock
from sbam_mm.registry import MODELS, build_part

from .base import MaskedImageModel

# .999 -> .9999 over 100 epochs, -> .99999 at 400: the official ViT-B's.
DEFAULT_TARGET = dict(
    type='sbam_mm.MomentumTeacher',
    momentum=0.999,
    milestones=((100, 0.9999), (400, 0.99999)))


class Predictions(NamedTuple):
    """What BootMAE makes of the visible patches."""
    pixels: Tensor  # (B, L, P)
    features: Tensor  # (B, L, D)


@MODELS.register_module()
class BootMAE(MaskedImageModel):
    """Bootstrapped masked autoencoder with any masker, per-image ratios too.

    The pixel regressor looks at the encoder's first block, the feature
    regressor at its last. The momentum encoder sees the whole image; its
    patch tokens after the last block, normalised without learned scale, are
    what the feature regressor predicts.

    Where paper and official code differ the default follows the paper: the
    code moves some tokens inside rectangles to the visible side
    (``BootMAEMasker(roll=3)``). Of the code alone, and on by default as in
    its scripts: a masked token weighs more the more of the 3 x 3 tokens
    around it are masked.

    Args:
        backbone (dict): ``MaskedViT``.
        neck (dict): ``Regressor`` that predicts pixels.
        head (dict): ``ChannelPixelHead``.
        feature_regressor (dict): ``Regressor`` with ``predict_feature_dim``
            the encoder's width.
        target (dict): ``MomentumTeacher``; the default has the official
            schedule of ViT-B.
        memory (tuple[int, int]): Encoder blocks, from 0, that the pixel and
            the feature regressor look at.
        ramp (float): Share of the epochs over which ``feature_weight``, the
            factor on the feature loss, grows linearly to its value.
        weigh_inside (bool): Weigh masked tokens by 1 plus the share of masked
            ones around them.
        **kwargs: ``masker``, ``teacher`` and other options of
            :class:`MaskedImageModel`.
    """

    no_weight_decay = ('cls_token', 'pos_embed')

    def __init__(self,
                 backbone: dict | nn.Module,
                 feature_regressor: dict | nn.Module,
                 target: dict | nn.Module = DEFAULT_TARGET,
                 memory: tuple[int, int] = (0, -1),
                 feature_weight: float = 1.,
                 ramp: float = 0.25,
                 weigh_inside: bool = True,
                 **kwargs):
        super().__init__(backbone, target=target, **kwargs)
        depth = len(self.backbone.layers)
        first, last = memory
        if not (-depth <= min(memory) and max(memory) < depth
                and first % depth <= last % depth):
            raise UserError(
                f'memory names two of the encoder\'s {depth} blocks, 0 to '
                f'{depth - 1}, in order, got {tuple(memory)}; BootMAE uses '
                '(0, -1).')
        self.memory = memory
        self.feature_regressor = build_part(feature_regressor)
        self.feature_weight = feature_weight
        self.ramp = ramp
        self.weigh_inside = weigh_inside

    def loss(self,
             inputs: Tensor,
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss_pixel`` and ``loss_feature`` with their weights."""
        self.follow_student()
        tokens = self.embed(inputs)
        token_mask = self.mask(tokens, inputs, data_samples)
        predictions = self.regress(tokens, token_mask)
        pixel = self.head.patch_loss(predictions.pixels, inputs)
        feature = feature_loss(predictions.features,
                               self.target.tokens(inputs))

        weight = token_mask.masked.float()
        if self.weigh_inside:
            weight = weight + masked_around(token_mask,
                                            self.backbone.grid(inputs))
        pixel, feature = (
            masked_mean(weight * loss, token_mask.masked, self.head.reduction)
            for loss in (pixel, feature))
        ramped = self.ramped_weight()
        return dict(
            loss_pixel=pixel,
            loss_feature=ramped * feature,
            feature_weight=pixel.new_full((), ramped),
            **token_mask.statistics())

    def regress(self, tokens: Tensor, token_mask: TokenMask) -> Predictions:
        """Encode the visible tokens (B, L, D) and predict all patches."""
        latent = self.backbone.encode(tokens, token_mask, self.memory)
        early, late = latent.blocks
        return Predictions(
            self.neck(latent, early, token_mask),
            self.feature_regressor(latent, late, token_mask))

    def predict(self, tokens: Tensor, token_mask: TokenMask,
                inputs: Tensor) -> Tensor:
        """Every patch's pixels, for pictures: (B, L, D) -> (B, L, P)."""
        return self.regress(tokens, token_mask).pixels

    def ramped_weight(self) -> float:
        """The feature loss's weight in this epoch; full outside a runner."""
        now = clock()
        grown = self.ramp * now.epochs
        share = min((1 + now.epoch) / grown, 1.) if grown else 1.
        return self.feature_weight * share


def feature_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error of normalised features, (B, L, D) -> float32 (B, L)."""
    width = prediction.shape[-1:]
    prediction, target = (
        F.layer_norm(x.float(), width, eps=1e-6)
        for x in (prediction, target))
    return (prediction - target).square().mean(dim=-1)


def masked_around(token_mask: TokenMask, grid: tuple[int, int]) -> Tensor:
    """Share of the 3 x 3 tokens around each that is masked, (B, L).

    Nothing counts as masked outside the image.

    Example:
        >>> import torch
        >>> mask = TokenMask(torch.ones(1, 9, dtype=torch.bool))
        >>> around = masked_around(mask, (3, 3)) * 9
        >>> around.round().int().tolist()
        [[4, 6, 4, 6, 9, 6, 4, 6, 4]]
    """
    masked = token_mask.masked.float().unflatten(1, grid)[:, None]
    around = F.avg_pool2d(masked, 3, stride=1, padding=1)
    return around.flatten(1)
