# Copyright (c) OpenMMLab. All rights reserved.
"""Stop a diverged run at once, and say why."""
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sbam_mm.errors import LossNotFinite, UserError
from sbam_mm.models.progress import epoch_of
from sbam_mm.registry import HOOKS
from sbam_mm.to_host import ToHost


class Step(NamedTuple):
    """A step whose loss is to be checked."""
    iteration: int
    epoch: int
    batch: dict | None
    loss: Callable[[], float]


@HOOKS.register_module()
class InvalidLossHook(Hook):
    """Stop when the loss is NaN or infinite.

    On a device the loss of a step is looked at while the next one is queued,
    so one more step is made; on the CPU at once. No diverged weights are
    saved or evaluated. The loss is that of this rank; torchrun ends the other
    ranks.

    Args:
        interval (int): Iterations between checks. 1 costs nothing: nobody
            waits for the loss.
        late (bool, optional): Whether a loss is looked at one step later.
            Defaults to None: if it is on CUDA.

    Raises:
        LossNotFinite: Names the iteration, whether images or parameters are
            affected, and what to try.
    """

    def __init__(self, interval: int = 1, late: bool | None = None) -> None:
        if interval < 1:
            raise UserError(
                f'InvalidLossHook(interval={interval}) checks nothing: give '
                'at least 1.')
        self.interval = interval
        self.late = late
        self._waiting: Step | None = None

    def before_train(self, runner: Runner) -> None:
        self._waiting = None

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        self._check(runner)
        if not self.every_n_train_iters(runner, self.interval):
            return
        loss = (outputs or {}).get('loss')
        if loss is None:
            return
        on_device = getattr(loss, 'is_cuda', False)
        self._waiting = Step(
            runner.iter + 1, epoch_of(runner) + 1, data_batch,
            ToHost(loss).read if torch.is_tensor(loss) else partial(
                float, loss))
        if not (on_device if self.late is None else self.late):
            self._check(runner)

    def _check(self, runner: Runner, *args: Any) -> None:
        step, self._waiting = self._waiting, None
        if step is not None and not math.isfinite(loss := step.loss()):
            explain(runner, step, loss)

    # Before anybody looks at the weights.
    after_train_epoch = before_val = after_train = _check

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self._check(runner)


def explain(runner: Runner, step: Step, loss: float) -> NoReturn:
    """Say where a loss that is not finite may come from."""
    broken = _broken_image(step.batch)
    parameter = next((name for name, p in runner.model.named_parameters()
                      if not p.isfinite().all()), None)
    if broken is not None:
        cause = (f'image {broken} of the batch contains NaN or infinity; '
                 'check the file and the transforms of train_pipeline')
    elif parameter is not None:
        cause = (f'the images are finite, but the parameter '
                 f'{parameter!r} is not; lower the learning rate, '
                 'lengthen the warm-up, set '
                 'optim_wrapper.clip_grad=dict(max_norm=1.0) or use '
                 'bfloat16 instead of float16, and resume from the last '
                 'checkpoint')
    else:
        cause = ('images and parameters are finite, so it arose in the '
                 'forward pass; use bfloat16 or float32 instead of '
                 'float16, or lower the learning rate, and resume from '
                 'the last checkpoint')
    raise LossNotFinite(
        f'The loss is {loss} at iteration {step.iteration} '
        f'(epoch {step.epoch}): {cause}.')


def _broken_image(batch: dict | None) -> str | None:
    """Path, or else number, of the first image that is not finite."""
    inputs = (batch or {}).get('inputs', [])
    views = [inputs] if torch.is_tensor(inputs) else inputs
    samples = (batch or {}).get('data_samples') or []
    # One batch, a batch per view, or single images of different sizes.
    for number, view in enumerate(views):
        images = view if view.ndim == 4 else [view]
        for index, image in enumerate(images, 0 if view.ndim == 4 else number):
            if not image.isfinite().all():
                sample = samples[index] if index < len(samples) else None
                return getattr(sample, 'img_path', f'{index}')
    return None
