# Copyright (c) OpenMMLab. All rights reserved.
"""A copy of a module that follows it slowly: the momentum (EMA) teacher."""
from math import cos, pi
from typing import Optional

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseAveragedModel
from torch import Tensor, nn

SHAPES = ('cosine', 'linear')


class MomentumCopy(BaseAveragedModel):
    """Exponential moving average of a module's parameters.

    After every step ``average <- m * average + (1 - m) * source``, where the
    momentum m moves from ``momentum`` to ``end_momentum``. The first update
    copies the source. Buffers are copied at every update.

    Call :meth:`follow` at the beginning of every training step, that is,
    after the optimizer's last one: nothing can be forgotten in a config, and
    a resumed run equals an uninterrupted one. A checkpoint therefore holds
    the average before its last step. With gradient accumulation every
    iteration counts as a step.

    Args:
        source (nn.Module): What to follow; it is copied.
        momentum (float): m at the start, in [0, 1]. Defaults to 0.996.
        end_momentum (float, optional): m at the end. Defaults to None:
            constant.
        shape (str): "cosine" (BYOL, DINO, iBOT) or "linear" (HPM, BootMAE)
            between the two. Defaults to "cosine".
        ramp_epochs (int, optional): Epochs until ``end_momentum`` is
            reached. Defaults to None: the whole training.

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
                 end_momentum: Optional[float] = None,
                 shape: str = 'cosine',
                 ramp_epochs: Optional[int] = None):
        end = momentum if end_momentum is None else end_momentum
        if not 0 <= momentum <= 1 or not 0 <= end <= 1:
            raise ValueError(
                'momentum is the share of the teacher that stays, in [0, 1], '
                f'got {momentum} to {end}; DINO uses 0.996 to 1.')
        if shape not in SHAPES:
            raise ValueError(f'shape must be one of {SHAPES}, got {shape!r}.')
        super().__init__(source)
        self.start_momentum = momentum
        self.end_momentum = end
        self.shape = shape
        self.ramp_epochs = ramp_epochs
        self.module.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> 'MomentumCopy':
        """Stays in eval mode: no dropped paths in a teacher."""
        return super().train(False)

    def follow(self, source: nn.Module) -> None:
        """Move towards the source by one step."""
        with torch.no_grad():
            self.update_parameters(source)

    def avg_func(self, averaged_param: Tensor, source_param: Tensor,
                 steps: Tensor) -> None:
        averaged_param.lerp_(
            source_param.to(averaged_param.dtype), 1 - self.momentum())

    def momentum(self) -> float:
        """m of the optimizer step that was made last."""
        if self.start_momentum == self.end_momentum:
            return self.start_momentum
        hub = MessageHub.get_current_instance()
        total = hub.get_info('max_iters', 0)
        epochs = hub.get_info('max_epochs', 0)
        if self.ramp_epochs is not None and epochs:
            total = total * self.ramp_epochs / epochs
        done = max(hub.get_info('iter', 0) - 1, 0)
        progress = min(done / total, 1.) if total else 0.
        if self.shape == 'cosine':
            progress = (1 - cos(pi * progress)) / 2
        return (self.start_momentum + progress *
                (self.end_momentum - self.start_momentum))
