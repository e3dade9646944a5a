# Copyright (c) OpenMMLab. All rights reserved.
"""A copy of a module that follows it slowly: the momentum (EMA) teacher."""
from collections.abc import Sequence
from math import cos, pi

import torch
from mmengine.model import BaseAveragedModel
from torch import nn

from sbam_mm.errors import UserError, check_choice

from ..progress import clock

SHAPES = ('cosine', 'linear')


class MomentumCopy(BaseAveragedModel):
    """Exponential moving average of a module's parameters.

    After every step ``average <- m * average + (1 - m) * source``, where the
    momentum m moves from ``momentum`` to ``end_momentum``. The first update
    copies the source. Buffers are copied at every update.

    Call :meth:`follow` at the beginning of every training step, that is,
    after the optimizer's last one: nothing can be forgotten in a config, and
    a resumed run equals an uninterrupted one. A checkpoint therefore holds
    the average before its last step. With gradient accumulation it moves
    once per step of the optimizer, and schedules count these steps.

    Args:
        source (nn.Module): What to follow; it is copied.
        momentum (float): m at the start, in [0, 1].
        end_momentum (float, optional): m at the end. Defaults to None:
            constant.
        shape (str): "cosine" (BYOL, DINO, iBOT) or "linear" (HPM, BootMAE)
            between the two.
        ramp_epochs (int, optional): Epochs until ``end_momentum`` is
            reached. Defaults to None: the whole training.
        milestones (sequence, optional): Pairs (epoch, m), ascending: m moves
            on straight lines from ``momentum`` at epoch 0 through them, and
            stays at the last. It changes from epoch to epoch, not within one,
            as in BootMAE, whose milestones are ``((100, 0.9999), (400,
            0.99999))``. Takes the place of the three options above.

    Example:
        >>> source = nn.Linear(2, 2)
        >>> teacher = MomentumCopy(source, momentum=0.9)
        >>> teacher.follow(source)
        >>> _ = nn.init.zeros_(source.weight.data)
        >>> before = teacher.module.weight.clone()
        >>> teacher.follow(source)
        >>> torch.allclose(teacher.module.weight, 0.9 * before)
        True
    """

    def __init__(self,
                 source: nn.Module,
                 momentum: float = 0.996,
                 end_momentum: float | None = None,
                 shape: str = 'cosine',
                 ramp_epochs: int | None = None,
                 milestones: Sequence[tuple[int, float]] | None = None):
        end = momentum if end_momentum is None else end_momentum
        points = [(0, momentum), *(milestones or ())]
        if not all(0 <= m <= 1 for m in (end, *(m for _, m in points))):
            raise UserError(
                'momentum is the share of the teacher that stays, in [0, 1], '
                f'got {momentum} to {points[-1][1] if milestones else end}; '
                'DINO uses 0.996 to 1.')
        epochs = [epoch for epoch, _ in points]
        if epochs != sorted(set(epochs)):
            raise UserError(
                f'milestones must ascend from epoch 0, got epochs {epochs}; '
                'put them in order.')
        if milestones and end_momentum is not None:
            raise UserError(
                'milestones and end_momentum both say where the momentum '
                'goes; leave one of them out.')
        check_choice('shape', shape, SHAPES)
        super().__init__(source)
        self.start_momentum = momentum
        self.end_momentum = end
        self.shape = shape
        self.ramp_epochs = ramp_epochs
        self.points = points
        self._known = (0, 0, False)
        self.module.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'MomentumCopy':
        """Stays in eval mode: no dropped paths in a teacher."""
        return super().train(False)

    def follow(self, source: nn.Module) -> None:
        """Move towards the source by one step of the optimizer."""
        if not clock().step_begins:
            return
        with torch.no_grad():
            self.update_parameters(source)

    def update_parameters(self, model: nn.Module) -> None:
        """As mmengine's, which asks the device for the number of steps."""
        sources = dict(model.named_parameters())
        averages = list(self.avg_parameters.values())
        moved = [
            sources[name].to(average)
            for name, average in self.avg_parameters.items()
        ]
        if self.followed:
            torch._foreach_lerp_(averages, moved, 1 - self.momentum())
        else:
            torch._foreach_copy_(averages, moved)
        for ours, theirs in zip(self.module.buffers(), model.buffers()):
            ours.copy_(theirs)
        self.steps += 1
        self._known = (*self._stamp(), True)

    @property
    def followed(self) -> bool:
        """Whether there was an update.

        The buffer ``steps`` is on the device, and is read only after somebody
        else has written it, such as a checkpoint.
        """
        if self._known[:2] != self._stamp():
            self._known = (*self._stamp(), bool(self.steps))
        return self._known[2]

    def _stamp(self) -> tuple[int, int]:
        return id(self.steps), self.steps._version

    def momentum(self) -> float:
        """m of the optimizer step that was made last."""
        if len(self.points) == 1 and self.start_momentum == self.end_momentum:
            return self.start_momentum
        now = clock()
        total: float = now.max_steps
        if self.ramp_epochs is not None and now.epochs:
            total = total * self.ramp_epochs / now.epochs
        done = max(now.step - 1, 0)
        if len(self.points) > 1:
            return self._at_epoch(now.epoch_of(done))
        progress = min(done / total, 1.) if total else 0.
        if self.shape == 'cosine':
            progress = (1 - cos(pi * progress)) / 2
        return (self.start_momentum + progress *
                (self.end_momentum - self.start_momentum))

    def _at_epoch(self, epoch: int) -> float:
        """m on the line between the milestones around an epoch."""
        for (left, low), (right, high) in zip(self.points, self.points[1:]):
            if epoch < right:
                return low + (epoch - left) / (right - left) * (high - low)
        return self.points[-1][1]
