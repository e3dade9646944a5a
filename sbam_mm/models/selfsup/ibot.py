# Copyright (c) OpenMMLab. All rights reserved.
"""iBOT: DINO, and masked patches predict what the teacher says of them.

Source: Zhou et al., *iBOT: Image BERT Pre-Training with Online Tokenizer*,
ICLR 2022. With ``masker=dict(type='sbam_mm.AttMask')`` it is the model of
Kakogeorgiou et al., *What to Hide from Your Students*, ECCV 2022.
"""
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sbam_mm.masking import IBOTMasker, TokenMask
from sbam_mm.models.losses import PatchLoss, koleo
from sbam_mm.models.masked_places import counting, masked_places
from sbam_mm.models.progress import training_progress
from sbam_mm.models.teachers.teacher_pass import TeacherPass
from sbam_mm.registry import MODELS

from .self_distillation import SelfDistillation


@MODELS.register_module()
class iBOT(SelfDistillation):  # noqa: N801  the paper's spelling
    """Image BERT pre-training with an online tokenizer, with any masker.

    A mask token takes the place of masked patches of the student's global
    crops, before positions are added; nothing is dropped, so per-image
    ratios cost nothing and stochastic depth may stay on.

    The student's patch head sees masked patches only. The centre wants the
    teacher's mean over *all* patches: the prototypes are a linear layer, so
    it is the logits of the mean projection, and no (B, L, 8192) tensor ever
    exists.

    **What SBAM means here.** SBAM's paper has one ``delta_r=0.15`` and one
    ``delta=0.1`` for all frameworks (section 6.5) and does not say more; its
    released code has no iBOT. In this project salience is computed from the
    student's own patch embeddings of each global view, as in MAE; the ratio
    of a view ranges around the mean of iBOT's U(0.1, 0.5) instead of MAE's,
    ``ratio=0.3``; and iBOT's rule that a view stays whole with
    probability 0.5 is kept by wrapping the masker in ``MaskSomeViews``
    (leave the wrapper out to mask every view). Embeddings of one image's two
    views differ, hence so do their masks and ratios.

    **DINOv2** (Oquab et al., TMLR 2024) is iBOT with other settings:
    ``head=dict(separate_patches=True)``, ``centring='sinkhorn'`` in
    ``cls_loss`` and ``patch_loss``, and ``koleo_weight=0.1``.

    Args:
        masker (dict, optional): Defaults to None: :class:`IBOTMasker`,
            rectangles on half of the views.
        patch_loss (dict, optional): Options of :class:`PatchLoss`.
        mim_start_epoch (int): Nothing is masked before it, and the patch
            loss's temperature begins its warm-up there; 50 for iBOT's Swin.
        koleo_weight (float): Of :func:`koleo` on the student's class tokens,
            a sum over the global views.
        **kwargs: Of :class:`SelfDistillation`.

    Example:
        >>> model = iBOT(
        ...     backbone=dict(
        ...         type='sbam_mm.MaskedViT', arch='tiny', img_size=32,
        ...         patch_size=8, learned_position=True),
        ...     head=dict(type='sbam_mm.DINOHead', in_dim=192, out_dim=64),
        ...     masker=dict(
        ...         type='sbam_mm.MaskSomeViews',
        ...         masker=dict(type='sbam_mm.SBAM', ratio=0.3, delta_r=0.15)))
        >>> crops = [torch.randn(2, 3, size, size) for size in (32, 32, 16)]
        >>> sorted(model.loss(crops))[:2]
        ['loss_cls', 'loss_patch']
    """
    in_place = True

    def __init__(self,
                 backbone: dict | nn.Module,
                 head: dict | nn.Module,
                 masker: dict | nn.Module | None = None,
                 patch_loss: dict | None = None,
                 mim_start_epoch: int = 0,
                 koleo_weight: float = 0.,
                 **kwargs):
        super().__init__(backbone, head, masker or IBOTMasker(), **kwargs)
        self.patch_loss = PatchLoss(self.head.patch_out_dim,
                                    **(patch_loss or {}))
        self.mim_start_epoch = mim_start_epoch
        self.koleo_weight = koleo_weight

    def loss(self,
             inputs: list[Tensor],
             data_samples: list | None = None) -> dict[str, Tensor]:
        """As DINO's, ``loss_patch``, and with its weight ``loss_koleo``."""
        self.follow_student()
        views, local = self.split(inputs)
        teaching = self.teach(views, data_samples)
        latent, token_mask = self.study(views, teaching, data_samples)
        # On its way while class tokens are compared.
        count = counting(token_mask)
        spread = {}
        if self.koleo_weight:
            closeness = torch.stack(
                [koleo(cls) for cls in self._by_view(latent[:, 0])])
            spread['loss_koleo'] = self.koleo_weight * closeness.sum()
        return dict(
            **spread,
            **self.learn_cls(latent, local, teaching, data_samples),
            loss_patch=self.learn_patches(latent, token_mask.masked, teaching,
                                          count),
            **token_mask.statistics())

    def mask(self, tokens: Tensor, *args, **kwargs) -> TokenMask:
        """Let the masker decide, once masked patches are to be predicted."""
        if training_progress()[1] < self.mim_start_epoch:
            return TokenMask(
                torch.zeros(
                    tokens.shape[:2], dtype=torch.bool, device=tokens.device))
        return super().mask(tokens, *args, **kwargs)

    def learn_patches(self,
                      latent: Tensor,
                      masked: Tensor,
                      teaching: TeacherPass,
                      count: Callable[[], int] | None = None) -> Tensor:
        """Predict what the teacher says of the masked patches: a scalar.

        ``latent`` is (2B, 1 + L, D), of the student's global views, and
        ``count`` tells how many patches are masked.
        """
        place = masked_places(TokenMask(masked), count)
        hidden = latent[:, 1:].flatten(0, 1).index_select(0, place)
        student = self.head.patch_logits(self.head.project_patches(hidden))
        with torch.no_grad():
            head = self.momentum_teacher.module['head']
            every = teaching.tokens[:, 1:].flatten(0, 1)
            if self.patch_loss.balances:
                teacher = head.patch_logits(
                    head.project_patches(every.index_select(0, place)))
            else:
                every = head.project_patches(every)
                teacher = head.patch_logits(every.index_select(0, place))
                mean = head.patch_logits(every.mean(dim=0))
        target = self.patch_loss.target(
            teacher, training_progress()[1] - self.mim_start_epoch)
        loss = self.patch_loss(student, target, masked)
        if not self.patch_loss.balances:
            self.patch_loss.centre.update(mean)
        return loss
