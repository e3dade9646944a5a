# Copyright (c) OpenMMLab. All rights reserved.
"""Checkpoints that are either complete or not there."""
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook as Base
from mmengine.runner import Runner

from sbam_mm.files import put_in_place
from sbam_mm.registry import HOOKS

# Of a file that is being written; nobody takes it for a checkpoint.
UNFINISHED = '.unfinished'


@HOOKS.register_module()
class CheckpointHook(Base):
    """mmengine's hook, and nothing is lost if the process dies while saving.

    mmengine deletes the oldest checkpoint first and then writes in place. Here
    the new one is written beside, flushed to the disk and renamed, and only
    then the old one is deleted, so that there is a whole checkpoint at every
    moment, also with ``max_keep_ckpts=1`` and on a full disk. Remote storage
    is written as mmengine does.

    Args:
        **kwargs: Of mmengine's ``CheckpointHook``.

    Example::

        default_hooks = dict(
            checkpoint=dict(type='sbam_mm.CheckpointHook', interval=1))
    """

    def before_train(self, runner: Runner) -> None:
        """Remove what a process left that died while saving."""
        super().before_train(runner)
        if is_main_process() and self._is_local():
            for path in Path(self.out_dir).glob(f'.*{UNFINISHED}'):
                _remove(path)

    def _is_local(self) -> bool:
        return isinstance(self.file_backend, LocalBackend)

    def _save_checkpoint_with_step(self, runner: Runner, step: int,
                                   meta: dict) -> None:
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


class DeleteLater(LocalBackend):
    """The local file system, with deletions put off.

    Attributes:
        new (set[str]): Files that were written meanwhile and stay.
    """

    def __init__(self) -> None:
        super().__init__()
        self.new: set[str] = set()
        self._old: list[str] = []

    def remove(self, filepath: Any) -> None:
        """Remember the file."""
        self._old.append(str(filepath))

    def rmtree(self, dir_path: Any) -> None:
        """Remember the folder."""
        self._old.append(str(dir_path))

    def delete(self) -> None:
        """Delete what was remembered, unless it was written anew."""
        for path in self._old:
            if path not in self.new:
                _remove(Path(path))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
