# Copyright (c) OpenMMLab. All rights reserved.
"""Centring and sharpening: what keeps self-distillation from collapse.

Source: Caron et al., *Emerging Properties in Self-Supervised Vision
Transformers*, ICCV 2021, section 3.1, Eq. 4 and Figure 7.
"""

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.models.progress import clock


class Centre(nn.Module):
    """A moving average of the teacher's logits, over all processes.

    Starts at zero. It is a buffer: checkpoints hold it. With gradient
    accumulation it moves once per step of the optimizer, to the mean over the
    micro-batches, all of which are centred alike.

    Args:
        momentum (float): Share of the old centre that stays, in [0, 1].
    """
    value: Tensor
    pending: Tensor

    def __init__(self, dim: int, momentum: float = 0.9):
        super().__init__()
        if not 0 <= momentum <= 1:
            raise UserError(
                'the momentum of a centre is the share that stays, in [0, 1], '
                f'got {momentum}; DINO uses 0.9.')
        self.momentum = momentum
        self.register_buffer('value', torch.zeros(dim))
        # Sum over the micro-batches of a step; between steps it is empty, so
        # checkpoints need none.
        self.register_buffer('pending', torch.zeros(dim), persistent=False)
        self.batches = 0

    def extra_repr(self) -> str:
        return f'dim={len(self.value)}, momentum={self.momentum}'

    @torch.no_grad()
    def update(self, mean: Tensor) -> None:
        """Move towards the mean of this batch's logits, (K,)."""
        if not self.training:
            return
        now = clock()
        mean = mean.float().clone()
        if now.accumulation > 1:
            if now.step_begins:
                self.pending.zero_()
                self.batches = 0
            self.pending += mean
            self.batches += 1
            if not now.step_ends:
                return
            mean = self.pending / self.batches
        all_reduce(mean, op='mean')
        self.value.lerp_(mean, 1 - self.momentum)


class TeacherTemperature:
    """The teacher's temperature: a straight line, then constant.

    As the official code's ``linspace(start, end, epochs)``: a warm-up of one
    epoch is at ``start``.

    Args:
        start (float): In the first epoch.
        end (float): From the last epoch of the warm-up on.
        epochs (int): Of the warm-up.

    Example:
        >>> temperature = TeacherTemperature(0.04, 0.07, epochs=4)
        >>> [round(temperature(epoch), 3) for epoch in range(5)]
        [0.04, 0.05, 0.06, 0.07, 0.07]
    """

    def __init__(self,
                 start: float = 0.04,
                 end: float = 0.07,
                 epochs: int = 30):
        if min(start, end) <= 0:
            raise UserError(
                'logits are divided by the temperature, which must be above '
                f'0, got {start} to {end}; iBOT uses 0.04 to 0.07.')
        self.start = start
        self.end = end
        self.epochs = epochs

    def __call__(self, epoch: int) -> float:
        if epoch < 0 or epoch == 0 < self.epochs:
            return self.start
        if epoch >= self.epochs - 1:
            return self.end
        share = epoch / (self.epochs - 1)
        return self.start + share * (self.end - self.start)


def target_entropy(target: Tensor) -> dict[str, Tensor]:
    """Two numbers that tell a healthy teacher from a collapsed one, for logs.

    Args:
        target (Tensor): The teacher's probabilities, (..., K).

    Returns:
        dict: In nats, from 0 to log K. ``target_entropy``: of an image's
        distribution, on average; if it stays at log K, all images get the
        uniform one. ``prototype_entropy``: of the mean over the images; if it
        falls to 0, all images share one prototype.

    Example:
        >>> out = target_entropy(torch.eye(4))  # sure, and all different
        >>> [round(value.exp().item(), 3) for value in out.values()]
        [1.0, 4.0]
    """
    flat = target.flatten(0, -2)
    return dict(
        target_entropy=torch.special.entr(flat).sum(dim=-1).mean(),
        prototype_entropy=torch.special.entr(flat.mean(dim=0)).sum())
