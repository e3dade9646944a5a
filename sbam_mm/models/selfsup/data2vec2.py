# Copyright (c) OpenMMLab. All rights reserved.
"""data2vec 2.0: many masks of an image predict one teacher's layers.

Source: Baevski et al., *Efficient Self-supervised Learning with
Contextualized Target Representations for Vision, Speech and Language*, ICML
2023. What the paper leaves open follows the official code's description of
its runs.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbam_mm.errors import UserError, check_choice
from sbam_mm.masking import InverseBlockMasker, TokenMask
from sbam_mm.models.backbones import Latent
from sbam_mm.models.losses import REDUCTIONS, feature_std, masked_mean
from sbam_mm.models.teachers.teacher_pass import FeedForwardPass
from sbam_mm.registry import MODELS

from .base import MaskedImageModel

# The official ViT-B's: on a line over 100,000 of its steps of 256 images.
DEFAULT_TARGET = dict(
    type='sbam_mm.MomentumTeacher',
    momentum=0.9998,
    end_momentum=0.99999,
    shape='linear',
    ramp_epochs=20)


@MODELS.register_module()
class Data2Vec2(MaskedImageModel):
    """data2vec 2.0 with any masker, per-image ratios included.

    The momentum encoder, the teacher, sees the whole image once. The target
    is what the feed-forward networks of its last blocks add to the patch
    tokens, normalised over the patches (channel by channel, no scale),
    averaged over the blocks and then normalised over the channels of each
    token. The student encodes the visible tokens of ``num_masks`` masks of
    that image; a convolutional decoder predicts the target of masked ones.
    The student's class token predicts the mean target of the image.

    The masker is asked ``num_masks`` times about the same tokens: one that
    draws nothing at random masks alike each time. What it asks of a teacher
    is computed once.

    Blocks here are pre-norm, as in all encoders of this project; the official
    ones normalise after the residual connection.

    Args:
        backbone (dict): ``MaskedViT``.
        neck (dict): ``ConvDecoder``.
        masker (dict, optional): Defaults to None:
            :class:`InverseBlockMasker`, which hides 0.8 around 3 x 3 blocks.
        target (dict): ``MomentumTeacher``; the default has the official
            schedule of ViT-B.
        num_masks (int): M, of every image. The official ViT-B has 16.
        top_k (int): Blocks, the last ones, that the target averages.
        cls_weight (float): Of the class token's loss, a mean over images and
            masks; 0 leaves it out. The official code sums over the 16 x 16 of
            a GPU, so that 0.01 there is 2.56 here.
        scale (float, optional): Of the squared distance, a sum over D
            channels. Defaults to None: 1 / sqrt(D), the official code's.
        reduction (str): "token" or "sample", see :func:`masked_mean`.
        **kwargs: Options of :class:`MaskedImageModel`.

    Example:
        >>> size = dict(img_size=32, patch_size=8)
        >>> model = Data2Vec2(
        ...     backbone=dict(type='sbam_mm.MaskedViT', arch='tiny', **size),
        ...     neck=dict(type='sbam_mm.ConvDecoder', embed_dim=192,
        ...               decoder_embed_dim=96, **size),
        ...     masker=dict(type='sbam_mm.SBAM'), num_masks=4)
        >>> out = model.loss(torch.randn(2, 3, 32, 32))
        >>> sorted(out)[:2]
        ['loss_cls', 'loss_patch']
    """

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 target: dict | nn.Module = DEFAULT_TARGET,
                 num_masks: int = 8,
                 top_k: int = 10,
                 cls_weight: float = 0.01,
                 scale: float | None = None,
                 reduction: str = 'token',
                 **kwargs):
        check_choice('reduction', reduction, REDUCTIONS)
        super().__init__(
            backbone, masker or InverseBlockMasker(), target=target, **kwargs)
        depth = len(self.backbone.layers)
        if not 1 <= top_k <= depth:
            raise UserError(
                f'top_k={top_k} does not count the last of the encoder\'s '
                f'{depth} blocks; data2vec 2.0 averages 10 of 12.')
        if num_masks < 1:
            raise UserError(f'num_masks={num_masks} hides nothing of an '
                            'image; data2vec 2.0 has 16 for ViT-B.')
        if not self.with_neck or getattr(
                self.neck, 'embed_dim', None) != self.backbone.embed_dims:
            raise UserError(
                'data2vec 2.0 predicts features as wide as its encoder; set '
                "neck=dict(type='sbam_mm.ConvDecoder', embed_dim="
                f'{self.backbone.embed_dims}).')
        self.num_masks = num_masks
        self.top_k = top_k
        self.cls_weight = cls_weight
        self.scale = self.backbone.embed_dims**-0.5 if scale is None else scale
        self.reduction = reduction

    def loss(self,
             inputs: Tensor,
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss_patch``, ``loss_cls``; stds fall to 0 in a collapse."""
        self.follow_student()
        teaching = FeedForwardPass(self.target.vit, inputs, self.top_k)
        tokens = self.embed(inputs)
        token_mask = self.mask(tokens, inputs, data_samples, teaching=teaching)
        latent = self.encode(
            tokens.repeat(self.num_masks, 1, 1), token_mask, inputs)
        prediction = self.neck.predict_masked(latent, token_mask)
        wanted = averaged([x[:, 1:] for x in teaching.added])
        losses = dict(loss_patch=masked_mean(
            self.error(prediction, wanted), token_mask.masked,
            self.reduction))
        if self.cls_weight:
            cls, mean = latent.to_dense()[:, 0].float(), wanted.mean(dim=1)
            error = self.squared(cls, mean.repeat(self.num_masks, 1))
            losses['loss_cls'] = self.cls_weight * error.mean()
        return dict(
            **losses,
            target_std=feature_std(wanted),
            prediction_std=feature_std(prediction.packed),
            **token_mask.statistics())

    def mask(self, tokens: Tensor, *args, **known) -> TokenMask:
        """All masks of all images, (M * B, L): mask after mask."""
        context = self.context(tokens, *args, **known)
        return joined([self.masker(context) for _ in range(self.num_masks)])

    def error(self, prediction: Latent, wanted: Tensor) -> Tensor:
        """Distances from what is wanted, float32 (M * B, L), 0 elsewhere.

        Args:
            prediction (Latent): Of masked tokens, (S, D).
            wanted (Tensor): Of all patches, (B, L, D).
        """
        patches = wanted.flatten(0, 1)
        target = patches.index_select(
            0, prediction.layout.index % len(patches))
        error = self.squared(prediction.packed.float(), target)
        return Latent(error[:, None], prediction.layout).to_dense()[..., 0]

    def squared(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Squared distance with its scale, (N, D) -> (N, )."""
        return self.scale * (prediction - target).square().sum(dim=-1)


def averaged(layers: Sequence[Tensor]) -> Tensor:
    """One target of several layers, float32 (B, L, D), each (B, L, D).

    Example:
        >>> target = averaged(torch.randn(3, 2, 16, 8).unbind())
        >>> bool(target.mean(dim=2).abs().max() < 1e-5)
        True
    """
    total = torch.zeros_like(layers[0], dtype=torch.float32)
    for layer in layers:
        var, mean = torch.var_mean(
            layer.float(), dim=1, correction=0, keepdim=True)
        total += (layer - mean) * (var + 1e-5).rsqrt()
    return F.layer_norm(total / len(layers), total.shape[-1:])


def joined(masks: Sequence[TokenMask]) -> TokenMask:
    """Masks of B images each as one of M * B."""

    def join(name: str) -> Tensor | None:
        parts = [getattr(mask, name) for mask in masks]
        given = any(part is not None for part in parts)
        return torch.cat(parts) if given else None

    parts = ('thrown', 'ratio', 'scores', 'salient')
    counts = {mask.num_visible for mask in masks}
    return TokenMask(
        torch.cat([mask.masked for mask in masks]),
        num_visible=counts.pop() if len(counts) == 1 else None,
        **{name: join(name) for name in parts})
