# Copyright (c) OpenMMLab. All rights reserved.
"""I-JEPA: predict what the momentum encoder makes of hidden blocks.

Source: Assran et al., *Self-Supervised Learning from Images with a
Joint-Embedding Predictive Architecture*, CVPR 2023.
"""
import torch.nn.functional as F
from torch import Tensor, nn

from sbam_mm.errors import UserError, check_choice
from sbam_mm.masking import IJEPAMasker, TokenMask
from sbam_mm.models.backbones import Latent
from sbam_mm.models.losses import REDUCTIONS, feature_std, masked_mean
from sbam_mm.models.necks import JEPAPredictor
from sbam_mm.registry import MODELS

from .own_teacher import OwnTeacher

DISTANCES = ('smooth_l1', 'l2')


@MODELS.register_module()
class IJEPA(OwnTeacher):
    """Image-based joint-embedding predictive architecture, with any masker.

    The encoder sees the visible tokens, the context. Its moving average, the
    target encoder, sees all of the image; each of its tokens is normalised to
    mean 0 and variance 1. A narrow predictor is asked for one target block
    after the other: context, and mask tokens at the places of the block. With
    a masker that names no targets the masked tokens are one target.

    The target encoder is the one to evaluate, by the mean of its patch tokens
    (``evaluated_encoder``). Encoders here have a class token, which the
    official ones have not: it goes along with the visible tokens, into the
    predictor, too, and is no target; maskers may ask what it attends to.

    Args:
        backbone (dict): ``MaskedViT``.
        neck (dict): ``JEPAPredictor``.
        masker (dict, optional): Defaults to None: :class:`IJEPAMasker`, four
            targets of 15 to 20 % and a context of 85 to 100 % without them.
        distance (str): Of a predicted token from its target, mean over
            channels: "smooth_l1", that of the official code, or "l2", squared
            as in the paper (Eq. 1, a sum there).
        reduction (str): "sample" weighs all targets alike (the paper),
            "token" all tokens of targets.
        **kwargs: Options of :class:`OwnTeacher`. The momentum grows from
            0.996 to 1, on a line.

    Example:
        >>> import torch
        >>> size = dict(img_size=32, patch_size=4)
        >>> model = IJEPA(
        ...     backbone=dict(type='sbam_mm.MaskedViT', arch='tiny', **size),
        ...     neck=dict(
        ...         type='sbam_mm.JEPAPredictor', embed_dim=192,
        ...         decoder_embed_dim=96, decoder_depth=2,
        ...         decoder_num_heads=3, **size))
        >>> out = model.loss(torch.randn(4, 3, 32, 32))
        >>> out['loss'].shape, sorted(out)[-2:]
        (torch.Size([]), ['thrown_tokens', 'visible_tokens'])
    """

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 distance: str = 'smooth_l1',
                 reduction: str = 'sample',
                 shape: str = 'linear',
                 **kwargs):
        check_choice('distance', distance, DISTANCES)
        check_choice('reduction', reduction, REDUCTIONS)
        super().__init__(
            backbone, masker=masker or IJEPAMasker(), shape=shape, **kwargs)
        if not self.with_neck or not isinstance(self.neck, JEPAPredictor):
            raise UserError(
                'I-JEPA predicts one target after the other, which '
                f'{type(self.neck).__name__ if self.with_neck else "None"} '
                "does not; set neck.type='sbam_mm.JEPAPredictor'.")
        self.distance = distance
        self.reduction = reduction

    def loss(self,
             inputs: Tensor,
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss``; ``target_std`` falls to 0 in a collapse."""
        self.follow_student()
        teaching = self.teach(inputs)
        tokens = self.embed(inputs)
        token_mask = self.mask(tokens, inputs, data_samples, teaching=teaching)
        latent = self.encode(tokens, token_mask, inputs)
        targets = separate_targets(token_mask)
        prediction = self.neck.predict_targets(latent, targets)
        wanted = normalised(teaching.tokens[:, 1:])
        error = self.error(prediction, wanted, targets.shape[1])
        return dict(
            loss=masked_mean(error, targets.flatten(0, 1), self.reduction),
            target_std=feature_std(wanted),
            **token_mask.statistics())

    def error(self, prediction: Latent, wanted: Tensor,
              number: int) -> Tensor:
        """Distances from what is wanted, float32 (B * T, L), 0 elsewhere.

        Args:
            prediction (Latent): Of tokens of targets, (S, D).
            wanted (Tensor): Of all patches, (B, L, D).
            number (int): T, targets of an image.
        """
        layout, patches = prediction.layout, wanted.shape[1]
        row, place = layout.index // patches, layout.index % patches
        target = wanted.flatten(0, 1).index_select(
            0, row // number * patches + place)
        measure = F.smooth_l1_loss if self.distance == 'smooth_l1' else (
            F.mse_loss)
        error = measure(prediction.packed.float(), target, reduction='none')
        return Latent(error.mean(dim=1, keepdim=True), layout).to_dense()[
            ..., 0]


def separate_targets(token_mask: TokenMask) -> Tensor:
    """What is predicted at a time, boolean (B, T, L); all, unless said."""
    if token_mask.targets is None:
        return token_mask.masked[:, None]
    return token_mask.targets


def normalised(tokens: Tensor) -> Tensor:
    """Tokens of mean 0 and variance 1, float32 (B, L, D)."""
    return F.layer_norm(tokens.float(), tokens.shape[-1:])
