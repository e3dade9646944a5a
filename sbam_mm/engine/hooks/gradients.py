# Copyright (c) OpenMMLab. All rights reserved.
"""Changes to gradients right before the optimizer uses them."""
from abc import ABC, abstractmethod
from typing import Any

import torch
from mmengine._strategy import FSDPStrategy
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.optim import Optimizer

from sbam_mm.engine.fsdp import unwrapped
from sbam_mm.errors import UserError
from sbam_mm.models.heads import DINOHead
from sbam_mm.models.progress import epoch_of
from sbam_mm.registry import HOOKS

from .fetch_log import log_unless


class GradientHook(Hook, ABC):
    """Called back in every step of the optimizer, whatever the wrapper.

    Gradients are complete then: accumulated, averaged over processes and,
    with float16, unscaled (also for fused optimizers, which would divide by
    the scale within their step).
    """

    def before_train(self, runner: Runner) -> None:
        if isinstance(getattr(runner, 'strategy', None), FSDPStrategy):
            raise UserError(
                f'{type(self).__name__} looks at whole gradients, and with '
                'FSDP each process has a part of them: train with '
                'model.backbone.with_cp=True instead of runner_type and '
                'strategy, or leave the hook out.')
        self.runner = runner
        self._handle = runner.optim_wrapper.optimizer.register_step_pre_hook(
            self._before_step)

    def after_train(self, runner: Runner) -> None:
        self._handle.remove()

    def _before_step(self, optimizer: Optimizer, args: Any,
                     kwargs: Any) -> None:
        unscale(optimizer)
        self.change(optimizer)

    @abstractmethod
    def change(self, optimizer: Optimizer) -> None:
        """Change the gradients of the optimizer's parameters."""


def unscale(optimizer: Optimizer) -> None:
    """Divide gradients by what a ``GradScaler`` left for a fused step."""
    scale = getattr(optimizer, 'grad_scale', None)
    if scale is None:
        return
    # As GradScaler.unscale_ does, in double precision.
    inverse = scale.double().reciprocal().float()
    for group in optimizer.param_groups:
        for parameter in group['params']:
            if parameter.grad is not None:
                parameter.grad.mul_(inverse.to(parameter.grad.device))
    optimizer.grad_scale = None  # type: ignore[attr-defined]


@HOOKS.register_module()
class ClipEachGradientHook(GradientHook):
    """Clip the gradient of every parameter tensor by its own norm.

    mmengine's ``clip_grad`` goes by the norm of all gradients together; DINO
    and iBOT clip each tensor. The largest norm before clipping is logged as
    ``train/largest_grad_norm``.

    Args:
        max_norm (float): Positive. Defaults to 3, that of DINO and iBOT.
    """

    def __init__(self, max_norm: float = 3.) -> None:
        if max_norm <= 0:
            raise UserError(f'max_norm is the longest a gradient may be and '
                            f'cannot be {max_norm}; DINO uses 3.')
        self.max_norm = max_norm

    def change(self, optimizer: Optimizer) -> None:
        gradients = [
            parameter.grad for group in optimizer.param_groups
            for parameter in group['params'] if parameter.grad is not None
        ]
        if not gradients:
            return
        # As torch's clip_grad_norm_, which knows one norm of all.
        norms = torch.stack(
            [norm.float() for norm in torch._foreach_norm(gradients)])
        scales = (self.max_norm / (norms + 1e-6)).clamp(max=1.)
        torch._foreach_mul_(gradients, scales.unbind())
        # Of a step that a fused optimizer leaves out there is nothing to log.
        log_unless(self.runner.message_hub, 'train/largest_grad_norm',
                   norms.max(), getattr(optimizer, 'found_inf', None))


@HOOKS.register_module()
class FreezeLastLayerHook(GradientHook):
    """Freeze the prototypes of a ``DINOHead`` in the first epochs.

    They have no gradient then, so the optimizer leaves them alone: no step,
    no weight decay, and its moments begin with the first gradient. Source:
    Caron et al., *Emerging Properties in Self-Supervised Vision
    Transformers*, ICCV 2021, appendix.

    Args:
        epochs (int): Defaults to 1; iBOT's ViT-B has 3.
    """

    def __init__(self, epochs: int = 1) -> None:
        self.epochs = epochs

    def before_train(self, runner: Runner) -> None:
        head = getattr(unwrapped(runner.model), 'head', None)
        if not isinstance(head, DINOHead):
            raise UserError(
                'FreezeLastLayerHook freezes the prototypes of a DINOHead, '
                f'but model.head is {type(head).__name__}; remove the hook '
                'from custom_hooks.')
        self._parameters = head.prototype_parameters()
        super().before_train(runner)

    def change(self, optimizer: Optimizer) -> None:
        if epoch_of(self.runner) < self.epochs:
            for parameter in self._parameters:
                parameter.grad = None
