# Copyright (c) OpenMMLab. All rights reserved.
"""Evaluations amid a training."""
from abc import abstractmethod

from mmengine.hooks import Hook
from mmengine.runner import Runner

from sbam_mm.errors import UserError
from sbam_mm.models.progress import counts_iterations, iterations_per_epoch


class EpochHook(Hook):
    """Evaluate after every ``interval`` epochs, and after the last.

    In a loop over iterations an epoch is as many of them as show every image
    once. What a hook prepares in ``before_train`` ends with :meth:`_start`;
    ``_off`` keeps it silent.
    """

    def __init__(self, interval: int, at_start: bool) -> None:
        if interval < 1:
            raise UserError(f'{type(self).__name__}(interval={interval}) '
                            'cannot work: it must be at least 1.')
        self.interval = interval
        self.at_start = at_start
        self._off = False

    @abstractmethod
    def _evaluate(self, runner: Runner, epoch: int) -> None:
        """Log the results with the ``epoch``, which is 0 at the start."""

    def _start(self, runner: Runner) -> None:
        if self.at_start and runner.epoch == 0 and runner.iter == 0:
            self._evaluate(runner, epoch=0)

    def after_train_epoch(self, runner: Runner) -> None:
        if self._off or counts_iterations(runner):
            return
        epoch = runner.epoch + 1
        if epoch % self.interval == 0 or epoch == runner.max_epochs:
            self._evaluate(runner, epoch)

    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """The same in a loop that counts iterations only."""
        if self._off or not counts_iterations(runner):
            return
        done = runner.iter + 1
        iterations = iterations_per_epoch(runner.train_dataloader)
        if (done % (iterations * self.interval) == 0
                or done == runner.max_iters):
            self._evaluate(runner, -(-done // iterations))
