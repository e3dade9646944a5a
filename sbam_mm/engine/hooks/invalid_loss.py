# Copyright (c) OpenMMLab. All rights reserved.
"""Stop a diverged run at once, and say why."""
import math

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sbam_mm.errors import LossNotFinite, UserError
from sbam_mm.models.progress import epoch_of
from sbam_mm.registry import HOOKS


@HOOKS.register_module()
class InvalidLossHook(Hook):
    """Stop when the loss is NaN or infinite.

    It runs before the checkpoint hook, so no diverged weights are saved. The
    loss is that of this rank; torchrun ends the other ranks.

    Args:
        interval (int): Iterations between checks. 1 costs nothing, as mmengine
            fetches the loss for its log every iteration.

    Raises:
        LossNotFinite: Names the iteration, whether images or parameters are
            affected, and what to try.
    """

    def __init__(self, interval: int = 1) -> None:
        if interval < 1:
            raise UserError(
                f'InvalidLossHook(interval={interval}) checks nothing: give '
                'at least 1.')
        self.interval = interval

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        if not self.every_n_train_iters(runner, self.interval):
            return
        loss = (outputs or {}).get('loss')
        if loss is None or math.isfinite(loss):
            return
        broken = _broken_image(data_batch)
        parameter = next((name for name, p in runner.model.named_parameters()
                          if not p.isfinite().all()), None)
        if broken is not None:
            cause = (f'image {broken} of the batch contains NaN or infinity; '
                     'check the file and the transforms of train_pipeline')
        elif parameter is not None:
            cause = (f'the images are finite, but after this step parameter '
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
            f'The loss is {float(loss)} at iteration {runner.iter + 1} '
            f'(epoch {epoch_of(runner) + 1}): {cause}.')


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
