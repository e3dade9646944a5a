# Copyright (c) OpenMMLab. All rights reserved.
"""The second phase of MAE: what a ViT learnt with segments, in one without.

A frozen teacher is told the segments of the image; the student, a plain ViT,
sees the same image and learns to be like the teacher without them.

Source: Taguchi et al., *SAM Helps SSL*, BMVC 2024, section 3.3, Eqs. 9, 10.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import PackedLayout, RecordedAttention
from sbam_mm.masking import TokenMask
from sbam_mm.models import MAE, FrozenTeacher
from sbam_mm.models.checkpoint import load_weights
from sbam_mm.models.guidance import attending, kernels_for
from sbam_mm.models.losses import masked_mean
from sbam_mm.registry import MODELS, build_part

STARTS = ('teacher', 'scratch')


def attention_error(student: Sequence[RecordedAttention],
                    teacher: Sequence[RecordedAttention],
                    layout: PackedLayout) -> Tensor:
    """How far two encoders' attention is apart, query by query.

    The squared difference of the probabilities (Eq. 9), averaged over keys,
    heads and layers: float32 (B, N), 0 where there is no token.
    """
    errors = []
    for ours, theirs in zip(student, teacher):
        rows = [
            (a - b).square().mean(dim=(1, 3)).flatten()
            for a, b in zip(ours.maps, theirs.maps)
        ]
        errors.append(torch.cat(rows))
    error = torch.stack(errors).mean(dim=0)
    return layout.unpack(error[:, None], error.new_zeros(()))[..., 0]


def check_start(start: str) -> None:
    if start not in STARTS:
        raise UserError(f'a student cannot start from {start!r}; choose '
                        f'{" or ".join(STARTS)}.')


@MODELS.register_module()
class DistilMAE(MAE):
    """MAE whose attention is to be that of a teacher that knows segments.

    The loss is MAE's plus ``weight`` times the mean squared error between
    the attention probabilities of student and teacher, in every layer and
    head, over all pairs of visible tokens, the class token included (Eqs. 9
    and 10). The teacher sees the visible tokens of the same mask, and their
    segments. It is for the attention only: nothing else is matched.

    The paper does not say where the student starts. By default it starts as
    the teacher, its decoder as the one that was trained with it.

    **Weight.** As a mean over all pairs the error is small (at most 2 / n),
    and the paper's weight of 1 leaves it little beside the reconstruction: a
    student that starts near the teacher may first move away. Watch
    ``attention_error`` in the log, and raise ``weight`` where attention is
    to count.

    **Memory.** The losses need the matrices themselves, so attention is not
    fused here: student and teacher each keep B * heads * n^2 float32 numbers
    per layer, n the visible tokens. ViT-B at a ratio of 0.75: 12 * 12 * 50^2
    * 4 bytes = 1.4 MB per image and model; patches of 8 pixels have 16 times
    as much.

    Args:
        backbone (dict): The student's, without ``segment_bias``.
        teacher (dict): ``FrozenTeacher`` with the backbone and checkpoint of
            the first phase, ``segment_bias`` included.
        weight (float): The paper's lambda.
        start (str): "teacher" or "scratch".
        **kwargs: Of :class:`MAE`.
    """

    teacher: FrozenTeacher

    def __init__(self,
                 backbone: dict | nn.Module,
                 teacher: dict | nn.Module,
                 weight: float = 1.,
                 start: str = 'teacher',
                 **kwargs):
        teacher = build_part(teacher)
        if not isinstance(teacher, FrozenTeacher):
            raise UserError("a student learns from a trained model; set "
                            "model.teacher.type='sbam_mm.FrozenTeacher'.")
        super().__init__(backbone, teacher=teacher, **kwargs)
        check_start(start)
        check_pair(self.backbone, self.teacher.vit)
        if not weight >= 0:
            raise UserError(f'weight={weight} of the attention error would '
                            "reward it; give the paper's 1, or another "
                            'number from 0.')
        self.weight = weight
        self.start = start

    def init_weights(self) -> None:
        """MAE's; or the teacher's encoder, and its decoder if it fits."""
        super().init_weights()
        if self.start == 'teacher':
            learner = nn.ModuleDict(dict(backbone=self.backbone,
                                         neck=self.neck))
            load_weights(learner, self.teacher.checkpoint)

    def loss(  # type: ignore[override]
            self,
            inputs: Tensor,
            data_samples: list | None = None) -> dict[str, Tensor]:
        """``loss_pixel``, ``loss_attention``, and the latter unweighted."""
        tokens = self.embed(inputs)
        token_mask = self.mask(tokens, inputs, data_samples)
        learning = [RecordedAttention() for _ in self.backbone.layers]
        with attending(self.backbone, learning):
            prediction = self.predict(tokens, token_mask, inputs)
        error = self.attention_error(learning, inputs, token_mask,
                                     data_samples)
        return dict(
            loss_pixel=self.head.loss(prediction, inputs, token_mask),
            loss_attention=self.weight * error,
            attention_error=error.detach(),
            **token_mask.statistics())

    @torch.no_grad()
    def taught(self, inputs: Tensor, token_mask: TokenMask,
               data_samples: list | None
               ) -> tuple[list[RecordedAttention], PackedLayout]:
        """The teacher's attention among the visible tokens."""
        vit = self.teacher.vit
        relations = kernels_for(vit, inputs, data_samples)
        recorded = [
            RecordedAttention(relations and relations[layer])
            for layer in range(len(vit.layers))
        ]
        with attending(vit, recorded):
            latent = vit.encode(vit.embed(inputs), token_mask)
        return recorded, latent.layout

    def attention_error(self, learning: Sequence[RecordedAttention],
                        inputs: Tensor, token_mask: TokenMask,
                        data_samples: list | None) -> Tensor:
        """Eq. 9, against the teacher's pass; exact over all processes."""
        taught, layout = self.taught(inputs, token_mask, data_samples)
        error = attention_error(learning, taught, layout)
        kept = F.pad(token_mask.visible, (1, 0), value=True)
        return masked_mean(error, kept)


def check_pair(student: nn.Module, teacher: nn.Module) -> None:
    """Stop unless a plain student and a guided teacher are alike."""
    if getattr(teacher, 'guide', None) is None:
        raise UserError('the teacher has no segment bias to learn from; give '
                        'teacher.backbone the segment_bias of the first '
                        'phase.')
    if getattr(student, 'guide', None) is not None:
        raise UserError('the student is to be a plain ViT; leave out '
                        'model.backbone.segment_bias.')
    shapes = [(vit.num_layers, vit.layers[0].attn.num_heads)
              for vit in (student, teacher)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f'the student has {shapes[0][0]} layers of {shapes[0][1]} heads, '
            f'the teacher {shapes[1][0]} of {shapes[1][1]}; give both '
            'backbones one arch.')
    if student.patch_size != teacher.patch_size:
        raise UserError(
            f'the student cuts patches of {student.patch_size} pixels, the '
            f'teacher of {teacher.patch_size}; give both backbones one '
            'patch_size.')
