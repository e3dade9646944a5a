# Copyright (c) OpenMMLab. All rights reserved.
"""Checkpoints that are either complete or absent."""
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook as Base
from mmengine.runner import Runner

from sbam_mm.errors import UserError
from sbam_mm.files import put_in_place
from sbam_mm.registry import HOOKS

# Of a file that is being written; nobody takes it for a checkpoint.
UNFINISHED = '.unfinished'


@HOOKS.register_module()
class CheckpointHook(Base):
    """mmengine's hook, safe against a process that dies while saving.

    mmengine deletes the oldest checkpoint first and then writes in place. Here
    the new one is written beside, flushed to the disk and renamed, and only
    then the old one is deleted, so that there is a whole checkpoint at every
    moment, also with ``max_keep_ckpts=1`` and on a full disk. Remote storage
    is written as mmengine does.

    Args:
        milestones (int or Sequence[int or float], optional): Checkpoints that
            stay beside the last ``max_keep_ckpts``, and are written whatever
            the ``interval``. A number n divides the training in n equal
            parts, each of which ends with one; a float of a sequence is a
            share of the training in (0, 1], an integer an epoch (an
            iteration, with ``by_epoch=False``). Defaults to None: none.

    Example::

        # Of 800 epochs 200, 400, 600 and 800 stay, and the last three.
        default_hooks = dict(
            checkpoint=dict(
                type='sbam_mm.CheckpointHook', interval=1, max_keep_ckpts=3,
                milestones=4))
    """

    def __init__(self,
                 *args: Any,
                 milestones: int | Sequence[int | float] | None = None,
                 **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.milestones = _times(milestones)
        self._steps: frozenset[int] = frozenset()

    def before_train(self, runner: Runner) -> None:
        """Also removes what a process left that died while saving."""
        total = runner.max_epochs if self.by_epoch else runner.max_iters
        self._steps = frozenset(
            time if isinstance(time, int) else max(1, round(time * total))
            for time in self.milestones)
        self._spare_surplus(runner)
        super().before_train(runner)
        if is_main_process() and self._is_local():
            for path in Path(self.out_dir).glob(f'.*{UNFINISHED}'):
                _remove(path)

    def _spare_surplus(self, runner: Runner) -> None:
        """Keep milestones when a resumed run keeps fewer checkpoints."""
        info = runner.message_hub.runtime_info
        kept = list(info.get('keep_ckpt_ids') or [])
        surplus = max(0, len(kept) - self.max_keep_ckpts)
        if self.max_keep_ckpts > 0 and surplus:
            info['keep_ckpt_ids'] = [
                step for number, step in enumerate(kept)
                if number >= surplus or step not in self._steps
            ]

    def after_train_epoch(self, runner: Runner) -> None:
        super().after_train_epoch(runner)
        if self.by_epoch:
            self._save_milestone(runner, runner.epoch + 1)

    def after_train_iter(self, runner: Runner, *args: Any,
                         **kwargs: Any) -> None:
        super().after_train_iter(runner, *args, **kwargs)
        if not self.by_epoch:
            self._save_milestone(runner, runner.iter + 1)

    def _save_milestone(self, runner: Runner, step: int) -> None:
        name = self.filename_tmpl.format(step)
        saved = self.last_ckpt and Path(str(self.last_ckpt)).name == name
        if step in self._steps and not saved:
            self._save_checkpoint(runner)

    def _is_local(self) -> bool:
        return isinstance(self.file_backend, LocalBackend)

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: dict) -> None:
        # Out of the queue a milestone is not deleted at its end.
        if (self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids
                and len(self.keep_ckpt_ids) == self.max_keep_ckpts
                and self.keep_ckpt_ids[0] in self._steps):
            self.keep_ckpt_ids.popleft()
        with self._nothing_is_lost(runner):
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._nothing_is_lost(runner):
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _nothing_is_lost(self, runner: Runner) -> Iterator[None]:
        """mmengine's methods, with other ways to write and to delete."""
        backend = self.file_backend  # type: ignore[has-type]
        # The best checkpoint's method calls the other one.
        if not self._is_local() or isinstance(backend, DeleteLater):
            yield
            return
        later = DeleteLater()
        self.file_backend, write = later, runner.save_checkpoint

        def save(out_dir: str, filename: str, *args: Any,
                 **kwargs: Any) -> None:
            unfinished = f'.{filename}{UNFINISHED}'
            place = Path(out_dir)
            try:
                write(out_dir, unfinished, *args, **kwargs)
                if is_main_process():
                    put_in_place(place / unfinished, place / filename)
            except BaseException as error:
                if is_main_process():
                    _remove(place / unfinished)
                # Writing does not say where, unlike opening.
                if isinstance(error, OSError) and error.filename is None:
                    error.filename = str(place / filename)
                raise
            later.new.add(str(place / filename))

        runner.save_checkpoint = save  # type: ignore[method-assign]
        try:
            yield
            later.delete()
        finally:
            self.file_backend = backend
            del runner.save_checkpoint


def _times(
        milestones: int | Sequence[int | float] | None) -> list[int | float]:
    """Shares of a training as floats, epochs or iterations as integers."""
    if milestones is None:
        return []
    if isinstance(milestones, int):
        if milestones < 1:
            raise UserError('milestones=n divides the training in n parts, '
                            f'got {milestones}; use 1 or more, or None.')
        return [part / milestones for part in range(1, milestones + 1)]
    wrong = [
        time for time in milestones
        if not (time >= 1 if isinstance(time, int) else 0 < time <= 1)
    ]
    if wrong:
        raise UserError('milestones are shares of the training as floats in '
                        '(0, 1] or epochs as integers from 1, got '
                        f'{wrong[0]!r}.')
    return list(milestones)


class DeleteLater(LocalBackend):
    """The local file system, with deletions put off; ``new`` files stay."""

    def __init__(self) -> None:
        super().__init__()
        self.new: set[str] = set()
        self._old: list[str] = []

    def remove(self, filepath: Any) -> None:
        self._old.append(str(filepath))

    def rmtree(self, dir_path: Any) -> None:
        self._old.append(str(dir_path))

    def delete(self) -> None:
        """Delete the files and folders, unless they were written anew."""
        for path in self._old:
            if path not in self.new:
                _remove(Path(path))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
