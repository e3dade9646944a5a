# Copyright (c) OpenMMLab. All rights reserved.
"""GPA as a feature: MAE that also predicts its teacher's attention.

Source: Xi et al., *Global Patch-wise Attention is Masterful Facilitator for
Masked Image Modeling*, ACM MM 2024, section 3.3.
"""

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError, check_choice
from sbam_mm.masking import AttentionSalience, TokenMask, check_needs
from sbam_mm.models.losses import masked_mean, standardize
from sbam_mm.models.necks import ScoreDecoder
from sbam_mm.models.progress import clock
from sbam_mm.models.providers import REMEDIES
from sbam_mm.registry import MODELS, build_part

from .base import MaskedImageModel

VARIANTS = ('paper', 'alternate', 'code')
SCALES = ('raw', 'z-score')
# Share of the training after which the official code's second decoder runs.
CODE_START = 0.75


@MODELS.register_module()
class GPAFeature(MaskedImageModel):
    """MAE with a second decoder that predicts global patch-wise attention.

    The target is the score that the masker goes by, of the teacher's
    attention in one block and head: as it is (Eq. 7), or as a z-score over
    all patches of the image (the official code). A sum of logits over 195
    queries may be large, and this loss with it; the z-score is of MAE's size
    whatever the teacher. Masker and target share the teacher's one pass. With
    ``GPA`` as the masker it is the paper's full method, attention as a
    teacher and as a feature (Table 1).

    Paper and official code differ. The paper has a loss on masked patches
    only (Eq. 7) and adds it to MAE's (Eq. 8), but says that the two decoders
    "work in an alternating way", which neither equation shows. We read it as
    both decoders working on the same encoding in every step, so that Eq. 8
    holds in each. The other readings are variants:

    - "paper": both losses in every step, on masked patches.
    - "alternate": the two losses take turns, step by step of the optimizer,
      beginning with the pixels; Eq. 8 is then what two steps minimise
      together.
    - "code": the official code. Both losses in every step, attention on all
      patches, as a z-score. The second decoder runs in the last quarter of
      the training only; before, the mean channel of what enters the decoder
      blocks is the prediction.

    In the last two there are steps in which a decoder takes no part, so
    distributed training wants ``find_unused_parameters=True`` in the config.

    Args:
        masker (dict): ``GPA``, or any other together with ``target``.
        neck (dict): ``MAEDecoder``; the second decoder has its shape.
        head (dict): ``PixelHead``.
        teacher (dict): ``FrozenTeacher`` or ``MomentumTeacher``.
        target (dict, optional): :class:`AttentionSalience` to predict.
            Defaults to None: the masker's.
        variant (str): "paper", "alternate" or "code".
        weight (float): Of the second loss; 1 in Eq. 8.
        target_scale (str, optional): "raw" or "z-score". Defaults to None:
            "z-score" in the variant "code", else "raw".
        **kwargs: Options of :class:`MaskedImageModel`.
    """

    def __init__(self,
                 backbone: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 neck: dict | nn.Module | None = None,
                 head: dict | nn.Module | None = None,
                 teacher: dict | nn.Module | None = None,
                 target: dict | nn.Module | None = None,
                 variant: str = 'paper',
                 weight: float = 1.,
                 target_scale: str | None = None,
                 **kwargs):
        if target_scale is None:
            target_scale = 'z-score' if variant == 'code' else 'raw'
        check_choice('target_scale', target_scale, SCALES)
        check_choice('variant', variant, VARIANTS)
        super().__init__(backbone, masker, neck, head, teacher, **kwargs)
        goes_by = (
            getattr(self.masker, 'salience', None)
            if target is None else build_part(target))
        if not isinstance(goes_by, AttentionSalience):
            raise UserError(
                'GPAFeature predicts attention, but its '
                f'{"masker" if target is None else "target"} goes by '
                f"{type(goes_by).__name__}; use masker=dict(type='sbam_mm"
                ".GPA') or set model.target=dict(type='sbam_mm."
                "AttentionSalience', source='teacher', queries='patches', "
                'softmax=False, own_query=False).')
        check_needs(goes_by, self.provides, type(self).__name__, REMEDIES)
        self.target = goes_by
        self.variant = variant
        self.weight = weight
        self.target_scale = target_scale
        self.attention_decoder = ScoreDecoder(self.neck)

    def loss(self,
             inputs: Tensor,
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss_pixel`` and ``loss_attention``, or one of them."""
        self.follow_student()
        tokens = self.embed(inputs)
        context = self.context(tokens, inputs, data_samples)
        token_mask = self.masker(context)
        latent = self.encode(tokens, token_mask, inputs)
        full = self.neck.arrange(latent)
        losses = {}
        pixels, attention = self.turns()
        if pixels:
            prediction = self.neck.decode(full, token_mask)
            losses['loss_pixel'] = self.head.loss(prediction, inputs,
                                                  token_mask)
        if attention:
            losses['loss_attention'] = self.weight * self.attention_loss(
                full, self.target.unscaled(context), token_mask,
                context.progress)
        return dict(**losses, **token_mask.statistics())

    def turns(self) -> tuple[bool, bool]:
        """Which losses this step has: (pixels, attention)."""
        if self.variant != 'alternate':
            return True, True
        odd = clock().step % 2 == 1
        return not odd, odd

    def attention_loss(self, full: Tensor, scores: Tensor,
                       token_mask: TokenMask, progress: float) -> Tensor:
        """Mean squared error to the teacher's scores (B, L), Eq. 7."""
        as_code = self.variant == 'code'
        counted = token_mask.masked
        if as_code:
            counted = token_mask.masked | token_mask.visible
        if as_code and progress <= CODE_START:
            predicted = full[:, 1:].float().mean(dim=-1)
        else:
            predicted = self.attention_decoder(full, token_mask)
        if self.target_scale == 'z-score':
            scores = standardize(scores, torch.ones_like(token_mask.masked))
        error = predicted - scores
        return masked_mean(error.square(), counted, self.head.reduction)
