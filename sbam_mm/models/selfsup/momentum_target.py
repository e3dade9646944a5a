# Copyright (c) OpenMMLab. All rights reserved.
"""What CMAE and BootMAE share: a momentum encoder that sets the target."""
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import MaskingContext
from sbam_mm.models.teachers import MomentumTeacher
from sbam_mm.registry import build_part

from .mae import MAE


class MomentumTargetMAE(MAE):
    """An MAE that also predicts what a slow copy of its encoder sees.

    The copy looks at whole images. It answers maskers that ask for a
    teacher, too, unless ``teacher`` is another one.

    Args:
        backbone (dict): ``MaskedViT``.
        target (dict): ``MomentumTeacher``.
        **kwargs: Options of :class:`MAE`.

    Raises:
        UserError: If ``target`` is no ``MomentumTeacher``.
    """

    tells_segments = False

    def __init__(self, backbone: dict | nn.Module, target: dict | nn.Module,
                 **kwargs):
        super().__init__(backbone, **kwargs)
        target = build_part(target)
        if not isinstance(target, MomentumTeacher):
            raise UserError(
                f'{type(self).__name__} learns from a momentum copy of its '
                f'own encoder, got {type(target).__name__}; set model.target='
                "dict(type='sbam_mm.MomentumTeacher') and give a frozen "
                'teacher for the masker as model.teacher.')
        self.target = target.of(self.backbone)

    @property
    def provides(self) -> frozenset[str]:
        """As for MAE; the target is a teacher that is always there."""
        return super().provides | {'teacher_attention'}

    def context(self,
                tokens: Tensor,
                inputs: Tensor,
                data_samples: list | None = None) -> MaskingContext:
        """As for MAE, with the target's attention."""
        context = super().context(tokens, inputs, data_samples)
        if self.teacher is not None:
            return context
        attention = partial(self.target.attention, inputs, context.grid)
        return replace(
            context,
            providers=dict(context.providers, teacher_attention=attention))

    def follow_student(self) -> None:
        """Let target and teacher take their step."""
        super().follow_student()
        if self.training:
            self.target.follow(self.backbone)

    @torch.no_grad()
    def target_tokens(self, images: Tensor) -> Tensor:
        """Patch tokens of whole images after the target's last block.

        Args:
            images (Tensor): (B, C, H, W).

        Returns:
            Tensor: (B, L, D), without the final norm and without gradient.
        """
        vit = self.target.vit
        return vit.layer_tokens(vit.embed(images), len(vit.layers))
