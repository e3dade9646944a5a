# Copyright (c) OpenMMLab. All rights reserved.
"""Cross-entropy between a teacher's and a student's prototypes."""
import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError, check_choice
from sbam_mm.finite import finite_options

from .centring import Centre, TeacherTemperature
from .sinkhorn import sinkhorn_knopp

CENTRINGS = ('mean', 'sinkhorn')


@finite_options
class PrototypeLoss(nn.Module):
    """What the losses of class tokens and of patches share.

    Args:
        dim (int): Prototypes, K.
        teacher_temperature (float): After the warm-up; that of all recipes of
            iBOT, and DINO's for ViT-S ends there as well.
        centre_momentum (float): See :class:`Centre`.
        centring (str): "mean", to subtract the moving mean of the teacher's
            logits, or "sinkhorn", to balance the prototypes within the global
            batch (:func:`sinkhorn_knopp`, DINOv2).
    """

    def __init__(self,
                 dim: int,
                 weight: float = 1.,
                 student_temperature: float = 0.1,
                 teacher_temperature: float = 0.07,
                 warm_up_temperature: float = 0.04,
                 warm_up_epochs: int = 30,
                 centre_momentum: float = 0.9,
                 centring: str = 'mean'):
        super().__init__()
        check_choice('centring', centring, CENTRINGS)
        if student_temperature <= 0:
            raise UserError(
                'logits are divided by student_temperature, which must be '
                f'above 0, got {student_temperature}; DINO uses 0.1.')
        self.weight = weight
        self.student_temperature = student_temperature
        self.teacher_temperature = TeacherTemperature(
            warm_up_temperature, teacher_temperature, warm_up_epochs)
        self.centre = Centre(dim, centre_momentum)
        self.balances = centring == 'sinkhorn'

    @torch.no_grad()
    def target(self, logits: Tensor, epoch: int = 0) -> Tensor:
        """Centre and sharpen: float32 probabilities (..., K), no gradient."""
        if self.balances:
            return sinkhorn_knopp(
                logits.float() / self.teacher_temperature(epoch))
        centred = logits.float() - self.centre.value
        return (centred / self.teacher_temperature(epoch)).softmax(dim=-1)

    def log_prediction(self, logits: Tensor) -> Tensor:
        """The student's log-probabilities, float32 (..., K)."""
        return (logits.float() / self.student_temperature).log_softmax(dim=-1)


class DINOLoss(PrototypeLoss):
    """Every view is to predict what the teacher says of every other view.

    Source: Caron et al., *Emerging Properties in Self-Supervised Vision
    Transformers*, ICCV 2021, Eq. 3; the mean over all pairs of a teacher's
    and a student's view that are not the same view.
    """

    def forward(self, student: Tensor, target: Tensor) -> Tensor:
        """The loss; update the centre afterwards.

        Logits are (V, B, K), the teacher's views first, targets (Q, B, K).
        """
        prediction = self.log_prediction(student)
        with torch.autocast(student.device.type, enabled=False):
            # No (Q, V, B, K) tensor: a product of two matrices.
            pairs = -target.flatten(1) @ prediction.flatten(1).T
        same = torch.eye(
            *pairs.shape, dtype=torch.bool, device=pairs.device)
        count = pairs.numel() - len(target)
        total = pairs.masked_fill(same, 0.).sum()
        return self.weight * total / (count * student.shape[1])


class PatchLoss(PrototypeLoss):
    """Hidden patches are to predict what the teacher says of them.

    The mean over the masked patches of each view, then over all views: an
    image without masked patches adds 0 and still counts, as in the official
    code, so the loss of a batch does not depend on how masks are spread.

    Source: Zhou et al., *iBOT: Image BERT Pre-Training with Online
    Tokenizer*, ICLR 2022, Eq. 2.
    """

    def forward(self, student: Tensor, target: Tensor,
                masked: Tensor) -> Tensor:
        """The loss; update the centre afterwards.

        Logits and targets, (M, K), are those of the M tokens that are True in
        ``masked``, (B, L): view after view in grid order.
        """
        entropy = -(target * self.log_prediction(student)).sum(dim=-1)
        counts = masked.sum(dim=1)
        share = (1. / counts.clamp(min=1)).repeat_interleave(
            counts, output_size=len(student))
        return self.weight * (entropy * share).sum() / len(masked)
