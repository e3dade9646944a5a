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
from sbam_mm.models.providers import STORED_MAPS, Provider
from sbam_mm.models.teachers.teacher_pass import TeacherPass

from .own_teacher import OwnTeacher


class Crops(NamedTuple):
    """Global crops and local ones, joined by size, view after view."""
    views: Tensor  # (2B, C, H, W)
    local: list[Tensor]  # (nB, C, h, w)


class SelfDistillation(OwnTeacher):
    """A student that predicts what its own moving average says of crops.

    The teacher sees the global crops whole, the student masked global crops
    and whole local ones; a guide of the encoder guides both.

    Args:
        backbone (dict): ``MaskedViT``, with ``learned_position=True`` as
            published.
        head (dict): ``DINOHead``.
        masker (dict or nn.Module): It is asked once for all global views.
        cls_loss (dict, optional): Options of :class:`DINOLoss`.
        num_global (int): Views that are global crops, the first ones.
        **kwargs: Options of :class:`OwnTeacher`.
    """

    follows_guides = True
    any_size = True  # local crops

    def __init__(self,
                 backbone: dict | nn.Module,
                 head: dict | nn.Module,
                 masker: dict | nn.Module,
                 cls_loss: dict | None = None,
                 num_global: int = 2,
                 **kwargs):
        super().__init__(backbone, head=head, masker=masker, **kwargs)
        self.cls_loss = DINOLoss(self.head.out_dim, **(cls_loss or {}))
        self.num_global = num_global

    @property
    def student(self) -> nn.ModuleDict:
        """What the teacher is an average of."""
        return nn.ModuleDict(dict(backbone=self.backbone, head=self.head))

    def providers(self) -> dict[str, Provider]:
        """Without stored maps, which do not follow an image's many crops."""
        return {
            name: provider
            for name, provider in super().providers().items()
            if name not in STORED_MAPS
        }

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
        if not self.cls_loss.balances:
            self.cls_loss.centre.update(teacher.mean(dim=(0, 1)))
        return dict(loss_cls=loss, **target_entropy(target))

    def _by_view(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (self.num_global, -1))
