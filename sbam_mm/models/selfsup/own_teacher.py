# Copyright (c) OpenMMLab. All rights reserved.
"""What DINO, iBOT and I-JEPA share: the momentum encoder is the result."""
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.models.providers import Batch, Provider
from sbam_mm.models.teachers import MomentumTeacher
from sbam_mm.models.teachers.momentum import MomentumCopy
from sbam_mm.models.teachers.teacher_pass import TeacherPass

from .base import MaskedImageModel


class OwnTeacher(MaskedImageModel):
    """A student that predicts what its own moving average says.

    ``model.backbone`` is the student's encoder; what the papers evaluate,
    and :attr:`evaluated_encoder` is, is the teacher's, in checkpoints under
    the prefix ``momentum_teacher.module.backbone.``. What it attends to in
    its last block comes from the pass that is made anyway.

    Args:
        momentum (float): Of the teacher, at first.
        end_momentum (float): At the end.
        shape (str): "cosine" or "linear", see :class:`MomentumCopy`.
        teacher (dict, optional): A ``FrozenTeacher`` for the masker to ask
            instead of the momentum teacher (GPA).
        **kwargs: Options of :class:`MaskedImageModel`.
    """

    def __init__(self,
                 backbone: dict | nn.Module,
                 momentum: float = 0.996,
                 end_momentum: float = 1.,
                 shape: str = 'cosine',
                 teacher: dict | nn.Module | None = None,
                 **kwargs):
        super().__init__(backbone, teacher=teacher, **kwargs)
        if isinstance(self.teacher, MomentumTeacher):
            raise UserError(
                f'{type(self).__name__} has a momentum teacher of its own, '
                'which maskers may ask; leave model.teacher out and set '
                'model.momentum.')
        self.momentum_teacher = MomentumCopy(self.student, momentum,
                                             end_momentum, shape)

    @property
    def student(self) -> nn.ModuleDict:
        """What the teacher is an average of."""
        return nn.ModuleDict(dict(backbone=self.backbone))

    def providers(self) -> dict[str, Provider]:
        """As for every method, with the momentum teacher's attention."""
        table = super().providers()
        if self.teacher is None:
            table['teacher_attention'] = ask_teaching
        return table

    @property
    def evaluated_encoder(self) -> nn.Module:
        """The teacher's, as in the papers; the student's before step 1."""
        if not self.momentum_teacher.followed:
            return self.backbone
        return self.momentum_teacher.module['backbone']

    def follow_student(self) -> None:
        if self.training:
            self.momentum_teacher.follow(self.student)

    def teach(self, images: Tensor) -> TeacherPass:
        """Show the teacher whole images."""
        return TeacherPass(self.momentum_teacher.module['backbone'], images)


def ask_teaching(model: OwnTeacher, batch: Batch, *question) -> Tensor:
    """The momentum teacher's attention, from a pass that is made anyway."""
    teaching = batch.teaching or model.teach(batch.images)
    return teaching.attention(*question)
