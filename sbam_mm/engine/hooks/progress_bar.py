# Copyright (c) OpenMMLab. All rights reserved.
"""A progress bar with a time estimate for runs that a person watches."""
import time

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sbam_mm.registry import HOOKS

# Seconds between two losses on a terminal.
REFRESH = .5


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show the progress of a training.

    On a terminal a bar; elsewhere (a log file, CI) a line every ``every``
    seconds. Nothing else of the run is changed.

    Args:
        every (float): Seconds between lines where there is no terminal.
    """

    def __init__(self, title: str = 'Pre-training', every: float = 20.):
        self.title = title
        self.every = every
        self.console = Console()
        self.progress: Progress | None = None

    @master_only
    def before_train(self, runner: Runner) -> None:
        self.start, self.start_iter = time.monotonic(), runner.iter
        self.last_read = self.start
        if self.console.is_terminal:
            self.progress = Progress(
                TextColumn('{task.description}'),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn('[dim]steps  loss {task.fields[loss]}'),
                TimeElapsedColumn(),
                TextColumn('[dim]left'),
                TimeRemainingColumn(),
                console=self.console)
            self.progress.start()
            self.task = self.progress.add_task(
                self.title,
                total=runner.max_iters,
                completed=runner.iter,
                loss='-')

    @master_only
    def after_train_iter(self,
                         runner: Runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: dict | None = None) -> None:
        done, now = runner.iter + 1, time.monotonic()
        if self.progress is not None:
            self.progress.update(self.task, completed=done)
        # Reading the loss waits for the device.
        if now - self.last_read < (REFRESH if self.progress else self.every):
            return
        self.last_read = now
        loss = runner.message_hub.get_scalar('train/loss').current()
        if self.progress is not None:
            self.progress.update(self.task, loss=f'{loss:.4f}')
            return
        rate = (done - self.start_iter) / (now - self.start)
        left = (runner.max_iters - done) / rate
        self.console.print(
            f'  {self.title}: step {done}/{runner.max_iters}, loss '
            f'{loss:.4f}, about {left:.0f} s left')

    @master_only
    def after_train(self, runner: Runner) -> None:
        if self.progress is not None:
            self.progress.stop()
