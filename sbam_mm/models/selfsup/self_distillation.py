# Copyright (c) OpenMMLab. All rights reserved.
"""What DINO and iBOT share: crops, a momentum teacher, centred targets."""
from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.vit_attention import encode_whole
from sbam_mm.models.guidance import guided, kernels_for
from sbam_mm.models.losses import DINOLoss, target_entropy
from sbam_mm.models.progress import training_progress
from sbam_mm.models.providers import STORED_MAPS, Batch, Provider
from sbam_mm.models.teachers import MomentumTeacher
from sbam_mm.models.teachers.momentum import MomentumCopy
from sbam_mm.models.teachers.teacher_pass import TeacherPass

from .base import MaskedImageModel


class Crops(NamedTuple):
    """Global crops and local ones, joined by size, view after view."""
    views: Tensor  # (2B, C, H, W)
    local: list[Tensor]  # (nB, C, h, w)


class SelfDistillation(MaskedImageModel):
    """A student that predicts what its own moving average says.

    The teacher sees the global crops whole, the student masked global crops
    and whole local ones; a guide of the encoder guides both.
    ``model.backbone`` is the student's encoder; what the papers evaluate,
    and :attr:`evaluated_encoder` is, is the teacher's, in checkpoints under
    the prefix ``momentum_teacher.module.backbone.``.

    Args:
        backbone (dict): ``MaskedViT``, with ``learned_position=True`` as
            published.
        head (dict): ``DINOHead``.
        masker (dict or nn.Module): It is asked once for all global views.
            What teachers attend to comes from the pass that is made anyway,
            as far as it is the last block's.
        cls_loss (dict, optional): Options of :class:`DINOLoss`.
        momentum (float): Of the teacher, at first.
        end_momentum (float): At the end, by a cosine.
        num_global (int): Views that are global crops, the first ones.
        teacher (dict, optional): A ``FrozenTeacher`` for the masker to ask
            instead of the momentum teacher (GPA).
        **kwargs: Options of mmpretrain's ``BaseSelfSupervisor``.
    """

    follows_guides = True
    any_size = True  # local crops

    def __init__(self,
                 backbone: dict | nn.Module,
                 head: dict | nn.Module,
                 masker: dict | nn.Module,
                 cls_loss: dict | None = None,
                 momentum: float = 0.996,
                 end_momentum: float = 1.,
                 num_global: int = 2,
                 teacher: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(
            backbone=backbone,
            head=head,
            masker=masker,
            teacher=teacher,
            **kwargs)
        if isinstance(self.teacher, MomentumTeacher):
            raise UserError(
                f'{type(self).__name__} has a momentum teacher of its own, '
                'which maskers may ask; leave model.teacher out and set '
                'model.momentum.')
        self.momentum_teacher = MomentumCopy(self.student, momentum,
                                             end_momentum)
        self.cls_loss = DINOLoss(self.head.out_dim, **(cls_loss or {}))
        self.num_global = num_global

    @property
    def student(self) -> nn.ModuleDict:
        """What the teacher is an average of."""
        return nn.ModuleDict(dict(backbone=self.backbone, head=self.head))

    def providers(self) -> dict[str, Provider]:
        """As for every method, with the momentum teacher's attention.

        Stored maps belong to an image and do not follow its many crops.
        """
        table = super().providers()
        if self.teacher is None:
            table['teacher_attention'] = ask_teaching
        return {
            name: provider
            for name, provider in table.items() if name not in STORED_MAPS
        }

    @property
    def evaluated_encoder(self) -> nn.Module:
        """The teacher's, as in the papers; the student's before step 1."""
        if not self.momentum_teacher.followed:
            return self.backbone
        return self.momentum_teacher.module['backbone']

    def follow_student(self) -> None:
        if self.training:
            self.momentum_teacher.follow(self.student)

    def split(self, inputs: Sequence[Tensor]) -> Crops:
        """Tell global crops from local ones; ``inputs``: (B, C, h, w) each."""
        if isinstance(inputs, Tensor) or len(inputs) < self.num_global:
            raise UserError(
                f'{type(self).__name__} learns from {self.num_global} global '
                'crops or more of every image, a list of batches; make them '
                "with dict(type='MultiView', num_views=[1, 1, ...]) in the "
                'pipeline, as configs/_base_/datasets/multi_crop_224.py does.')
        local = groupby(inputs[self.num_global:], lambda crop: crop.shape[-2:])
        return Crops(
            torch.cat(list(inputs[:self.num_global])),
            [torch.cat(list(crops)) for _, crops in local])

    def teach(self, views: Tensor, data_samples: list | None = None
              ) -> TeacherPass:
        """Show the teacher the whole global views."""
        vit = self.momentum_teacher.module['backbone']
        return TeacherPass(
            vit, views,
            kernels_for(vit, views, data_samples, range(self.num_global)))

    def guided(self, inputs: Tensor, data_samples: list | None
               ) -> AbstractContextManager[None]:
        """As for every method, of the global views."""
        return guided(self.backbone, inputs, data_samples,
                      range(self.num_global))

    def study(self, views: Tensor, teaching: TeacherPass,
              data_samples: list | None) -> tuple[Tensor, TokenMask]:
        """Show the student the masked global views: (2B, 1 + L, D)."""
        with self.guided(views, data_samples):
            tokens = self.embed(views)
            token_mask = self.mask(tokens, views, teaching=teaching)
            latent = self.encode(tokens, token_mask, views)
        return latent.to_dense(), token_mask

    def learn_cls(self, latent: Tensor, local: list[Tensor],
                  teaching: TeacherPass,
                  data_samples: list | None = None) -> dict[str, Tensor]:
        """Compare class tokens of different views.

        ``latent`` is (2B, 1 + L, D), of the student's global views.
        """
        teacher = self._by_view(
            self.momentum_teacher.module['head'](teaching.tokens[:, 0]))
        batch_size, first = teacher.shape[1], self.num_global
        cls = [latent[:, 0]]
        # Crops of one size run through the encoder together.
        for crops in local:
            views = range(first, first := first + len(crops) // batch_size)
            with guided(self.backbone, crops, data_samples, views):
                cls.append(encode_whole(self.backbone, crops)[:, 0])
        student = self.head(torch.cat(cls)).unflatten(0, (-1, batch_size))
        target = self.cls_loss.target(teacher, training_progress()[1])
        loss = self.cls_loss(student, target)
        self.cls_loss.centre.update(teacher.mean(dim=(0, 1)))
        return dict(loss_cls=loss, **target_entropy(target))

    def _by_view(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (self.num_global, -1))


def ask_teaching(model: SelfDistillation, batch: Batch,
                 *question) -> Tensor:
    """The momentum teacher's attention, from a pass that is made anyway."""
    teaching = batch.teaching or model.teach(batch.images)
    return teaching.attention(*question)
