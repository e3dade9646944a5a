# Copyright (c) OpenMMLab. All rights reserved.
"""The second phase: what a ViT learnt with segments, in one without.

A frozen teacher is told the segments of the image; the student, a plain ViT,
sees the same image and learns to be like the teacher without them.

Source: Taguchi et al., *SAM Helps SSL: Mask-guided Attention Bias for
Self-supervised Learning*, BMVC 2024, section 3.3, Eqs. 8 to 10.
"""
from collections.abc import Sequence
from itertools import groupby

import torch
import torch.nn.functional as F
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import PackedLayout, RecordedAttention
from sbam_mm.masking import TokenMask
from sbam_mm.models.backbones.vit_attention import encode_whole
from sbam_mm.models.channels import check_channels, for_any_channels
from sbam_mm.models.checkpoint import (
    check_keys,
    load_weights,
    read_checkpoint,
    state_dict_of,
)
from sbam_mm.models.losses import masked_mean
from sbam_mm.models.position_tables import fit_tables, stored_grids
from sbam_mm.models.teachers import FrozenTeacher, Teacher, check_guides
from sbam_mm.registry import MODELS, build_part

from .base import segments_for
from .mae import MAE

STARTS = ('teacher', 'scratch')
# Where DINO's checkpoints keep the branch that is evaluated.
MOMENTUM = 'momentum_teacher.module.'


def attention_error(student: Sequence[RecordedAttention],
                    teacher: Sequence[RecordedAttention],
                    layout: PackedLayout) -> Tensor:
    """How far two encoders' attention is apart, query by query.

    The squared difference of the probabilities (Eq. 9), averaged over keys,
    heads and layers.

    Args:
        student, teacher (Sequence[RecordedAttention]): Of every layer, after
            a pass over the same tokens.
        layout (PackedLayout): Of these tokens, N places per image.

    Returns:
        Tensor: float32 (B, N), 0 where there is no token.
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
    per layer, n the visible tokens (50 of 197 with three quarters hidden).
    ViT-B at a ratio of 0.75: 12 * 12 * 50^2 * 4 bytes = 1.4 MB per image and
    model; patches of 8 pixels have 16 times as much.

    Args:
        backbone (dict): The student's, ``MaskedViT`` without
            ``segment_bias``.
        teacher (dict): ``FrozenTeacher`` with the backbone and checkpoint of
            the first phase, ``segment_bias`` included.
        weight (float): The paper's lambda. Defaults to 1.
        start (str): "teacher" or "scratch". Defaults to "teacher".
        **kwargs: Of :class:`MAE`.

    Raises:
        UserError: If student and teacher have different layers, heads or
            patches, the student a segment bias or the teacher none, or a
            number is out of range.

    Example::

        encoder = dict(type='sbam_mm.MaskedViT', arch='base')
        model = dict(
            type='sbam_mm.DistilMAE',
            backbone=encoder,
            teacher=dict(
                type='sbam_mm.FrozenTeacher',
                backbone=dict(**encoder, segment_bias=dict()),
                checkpoint='work_dirs/phase_one/epoch_1600.pth'))
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

    def loss(self,
             inputs: Tensor,
             data_samples: list | None = None) -> dict[str, Tensor]:
        """One training step.

        Args:
            inputs (Tensor): Normalised images, (B, C, H, W).
            data_samples (list): With ``segment_map`` for the teacher.

        Returns:
            dict[str, Tensor]: ``loss_pixel``, ``loss_attention`` with its
            weight, ``attention_error`` without, and the mask's statistics.
        """
        segments = segments_for(self.teacher.vit, inputs, data_samples)
        tokens = self.backbone.embed(inputs)
        token_mask = self.mask(tokens, inputs, data_samples)
        attending = self.recorded()
        prediction = self.predict(tokens, token_mask, inputs, attending)
        error = self.attention_error(attending, inputs, token_mask, segments)
        return dict(
            loss_pixel=self.head.loss(prediction, inputs, token_mask),
            loss_attention=self.weight * error,
            attention_error=error.detach(),
            **token_mask.statistics())

    def recorded(self) -> list[RecordedAttention]:
        """Plain attention for every layer, with its maps kept."""
        return [RecordedAttention() for _ in self.backbone.layers]

    def attention_error(self, attending: Sequence[RecordedAttention],
                        inputs: Tensor, token_mask: TokenMask,
                        segments: Tensor | None) -> Tensor:
        """Eq. 9: the student's pass against the teacher's.

        Args:
            attending (Sequence[RecordedAttention]): After the student's pass.
            inputs (Tensor): (B, C, H, W).
            token_mask (TokenMask): What was visible.
            segments (Tensor): Ids of all patches, (B, L).

        Returns:
            Tensor: A scalar, exact over all processes.
        """
        vit = self.teacher.vit
        with torch.no_grad():
            relations = vit.guided(segments) or [None] * len(vit.layers)
            taught = [RecordedAttention(relation) for relation in relations]
            latent = vit.encode(vit.embed(inputs), token_mask, taught)
        error = attention_error(attending, taught, latent.layout)
        kept = F.pad(token_mask.visible, (1, 0), value=True)
        return masked_mean(error, kept)


def check_pair(student: nn.Module, teacher: nn.Module) -> None:
    """Stop unless a plain student and a guided teacher are alike."""
    if getattr(teacher, 'segment_bias', None) is None:
        raise UserError('the teacher has no segment bias to learn from; give '
                        'teacher.backbone the segment_bias of the first '
                        'phase.')
    if getattr(student, 'segment_bias', None) is not None:
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


@MODELS.register_module()
class FrozenDINO(Teacher):
    """The encoder and head of a trained DINO, as they are.

    Args:
        backbone (dict or nn.Module): ``MaskedViT`` as in the first phase.
        head (dict or nn.Module): ``DINOHead`` as in the first phase.
        checkpoint (str): Of the first phase. Of its two branches the momentum
            teacher's is taken, which is the one that is evaluated.

    Raises:
        UserError: If the checkpoint is missing or does not fit.

    Example::

        teacher = dict(
            type='sbam_mm.FrozenDINO',
            backbone=dict(
                type='sbam_mm.MaskedViT', arch='small',
                learned_position=True, segment_bias=dict()),
            head=dict(type='sbam_mm.DINOHead', in_dim=384, out_dim=65536),
            checkpoint='work_dirs/phase_one/epoch_300.pth')
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
        check_guides(self, state, checkpoint)
        state = fit_tables(self, state, stored_grids(read), checkpoint)
        check_keys(self, state, min_share=1., name=checkpoint)
        self.load_state_dict(state, strict=False)
        self.requires_grad_(False)
        self.eval()

    @property
    def vit(self) -> nn.Module:
        return self.backbone

    def init_weights(self) -> None:
        """Keeps what was loaded."""


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
        temperature (float): Of both. Defaults to 0.1, DINO's student's.
        start (str): "teacher" or "scratch". Defaults to "teacher".
        data_preprocessor (dict or nn.Module, optional): As in
            ``MaskedImageModel``. Defaults to None.
        **kwargs: Options of mmpretrain's ``BaseSelfSupervisor``.

    Raises:
        UserError: If student and teacher have different layers, heads or
            patches, the student a segment bias or the teacher none, or a
            number is out of range.

    Example::

        encoder = dict(
            type='sbam_mm.MaskedViT', arch='small', learned_position=True)
        head = dict(type='sbam_mm.DINOHead', in_dim=384, out_dim=65536)
        model = dict(
            type='sbam_mm.DistilDINO',
            backbone=encoder,
            head=head,
            teacher=dict(
                type='sbam_mm.FrozenDINO',
                backbone=dict(**encoder, segment_bias=dict()),
                head=head,
                checkpoint='work_dirs/phase_one/epoch_300.pth'))
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
        """One training step.

        Args:
            inputs (list[Tensor]): Views, (B, C, h, w) each.
            data_samples (list): With ``segment_map`` for the teacher, a list
                with one map per view.

        Returns:
            dict[str, Tensor]: ``loss_cls``, the mean over all crops, and
            ``divergence``, what of it is above the teacher's entropy.
        """
        views = [inputs] if isinstance(inputs, Tensor) else inputs
        student, teacher, first = [], [], 0
        for _, group in groupby(views, lambda crop: crop.shape[-2:]):
            crops = list(group)
            numbers = range(first, first + len(crops))
            first += len(crops)
            images = torch.cat(crops)
            student.append(encode_whole(self.backbone, images)[:, 0])
            segments = segments_for(self.teacher.vit, images, data_samples,
                                    numbers)
            with torch.no_grad():
                vit = self.teacher.vit
                teacher.append(
                    encode_whole(vit, images, vit.guided(segments))[:, 0])
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
