# Copyright (c) OpenMMLab. All rights reserved.
"""The second phase of DINO: a plain ViT learns to say what a guided one says.

Source: Taguchi et al., *SAM Helps SSL*, BMVC 2024, section 3.3, Eq. 8.
"""
from itertools import groupby

import torch
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.models.backbones.vit_attention import encode_whole
from sbam_mm.models.channels import check_channels, for_any_channels
from sbam_mm.models.checkpoint import (
    check_keys,
    read_checkpoint,
    state_dict_of,
)
from sbam_mm.models.guidance import guided
from sbam_mm.models.teachers import Teacher
from sbam_mm.registry import MODELS, build_part

from .distil_mae import check_pair, check_start

# Where DINO's checkpoints keep the branch that is evaluated.
MOMENTUM = 'momentum_teacher.module.'


@MODELS.register_module()
class FrozenDINO(Teacher):
    """The encoder and head of a trained DINO, as they are.

    Args:
        backbone (dict or nn.Module): ``MaskedViT`` as in the first phase.
        head (dict or nn.Module): ``DINOHead`` as in the first phase.
        checkpoint (str): Of the first phase. Of its two branches the momentum
            teacher's is taken, which is the one that is evaluated.
    """

    def __init__(self, backbone: dict | nn.Module, head: dict | nn.Module,
                 checkpoint: str):
        super().__init__()
        self.backbone = build_part(backbone)
        self.head = build_part(head)
        read = read_checkpoint(checkpoint)
        state = state_dict_of(read, checkpoint)
        if any(key.startswith(MOMENTUM) for key in state):
            state = {
                key.removeprefix(MOMENTUM): value
                for key, value in state.items() if key.startswith(MOMENTUM)
            }
        self.freeze(state, read, 1., checkpoint)


@MODELS.register_module()
class DistilDINO(BaseSelfSupervisor):
    """A student that says of every crop what the teacher says of that crop.

    DINO's cross-entropy without what keeps DINO from collapsing, which a
    frozen teacher cannot: no centring, no sharpening (one temperature for
    both), no momentum, and pairs of identical instead of different views
    (Eq. 8). Nothing is masked. The teacher is told the segments of every
    crop, local ones included.

    The paper does not say where the student starts. By default it starts as
    the teacher, without its segment bias.

    Args:
        backbone (dict or nn.Module): ``MaskedViT`` without segment bias.
        head (dict or nn.Module): ``DINOHead``, as wide as the teacher's.
        teacher (dict or nn.Module): :class:`FrozenDINO`.
        temperature (float): Of both; DINO's student's.
        start (str): "teacher" or "scratch".
        data_preprocessor, ``**kwargs``: As in :class:`MaskedImageModel`.
    """

    def __init__(self,
                 backbone: dict | nn.Module,
                 head: dict | nn.Module,
                 teacher: dict | nn.Module,
                 temperature: float = 0.1,
                 start: str = 'teacher',
                 data_preprocessor: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(
            backbone=build_part(backbone),
            head=build_part(head),
            data_preprocessor=for_any_channels(data_preprocessor),
            **kwargs)
        check_start(start)
        self.teacher = build_part(teacher)
        if not isinstance(self.teacher, FrozenDINO):
            raise UserError(
                'a student of DINO learns from an encoder with its head, not '
                f'from {type(self.teacher).__name__}; set '
                "model.teacher.type='sbam_mm.FrozenDINO'.")
        check_pair(self.backbone, self.teacher.vit)
        if self.head.out_dim != self.teacher.head.out_dim:
            raise UserError(
                f'the student has {self.head.out_dim} prototypes, the teacher '
                f'{self.teacher.head.out_dim}; give both heads one out_dim.')
        if start == 'teacher':
            for part in ('backbone', 'head'):
                check_keys(
                    getattr(self, part),
                    getattr(self.teacher, part).state_dict(),
                    min_share=1.,
                    name=f"the teacher's {part}, as which the student starts,")
        if not temperature > 0:
            raise UserError(f'temperature={temperature} makes no '
                            "probabilities; give DINO's 0.1, or another "
                            'positive number.')
        self.temperature = temperature
        self.start = start
        check_channels(self)

    def init_weights(self) -> None:
        """DINO's; or the teacher's encoder and head."""
        super().init_weights()
        if self.start == 'teacher':
            self.backbone.load_state_dict(
                self.teacher.backbone.state_dict(), strict=False)
            self.head.load_state_dict(self.teacher.head.state_dict())

    def loss(self,
             inputs: list[Tensor],
             data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss_cls``, and ``divergence``: without the teacher's entropy.

        Each view has a map of its own for the teacher.
        """
        views = [inputs] if isinstance(inputs, Tensor) else inputs
        student, teacher, first = [], [], 0
        for _, group in groupby(views, lambda crop: crop.shape[-2:]):
            crops = list(group)
            numbers = range(first, first + len(crops))
            first += len(crops)
            images = torch.cat(crops)
            student.append(encode_whole(self.backbone, images)[:, 0])
            vit = self.teacher.vit
            with torch.no_grad(), guided(vit, images, data_samples, numbers):
                teacher.append(encode_whole(vit, images)[:, 0])
        log_prediction = self.log_probabilities(self.head, student)
        with torch.no_grad():
            log_target = self.log_probabilities(self.teacher.head, teacher)
        target = log_target.exp()
        loss = -(target * log_prediction).sum(dim=-1).mean()
        entropy = -(target * log_target).sum(dim=-1).mean()
        return dict(loss_cls=loss, divergence=loss.detach() - entropy)

    def log_probabilities(self, head: nn.Module,
                          cls: list[Tensor]) -> Tensor:
        """Over the prototypes, of class tokens: float32 (crops, K)."""
        logits = head(torch.cat(cls)).float()
        return (logits / self.temperature).log_softmax(dim=-1)
