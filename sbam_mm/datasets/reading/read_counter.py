# Copyright (c) OpenMMLab. All rights reserved.
"""Which files could be read, counted over all processes that load them."""
import logging

import torch
from mmengine.logging import print_log

from sbam_mm.errors import UserError

from .decoding import why_unreadable
from .tree import printable

# Below this many files an unlucky start could stop a healthy run.
_MIN_READS = 32

_UNSEEN, _READABLE, _UNREADABLE = 0, 1, 2


class UnreadableImagesError(UserError, RuntimeError):
    """Too large a share of a data set's images cannot be decoded."""


class ReadCounter:
    """Logs every unreadable file once, and stops where they are too many.

    Args:
        files (int): How many there are.
        max_share (float): Share of the files tried that may be unreadable.
        folder (str): Where they are, for messages.
    """

    def __init__(self, files: int, max_share: float, folder: str):
        # One byte a file in shared memory: it survives fork, spawn and
        # persistent workers, and needs no lock, because two workers that read
        # the same file write the same byte.
        self._state = torch.zeros(files, dtype=torch.uint8).share_memory_()
        self.max_share = max_share
        self.folder = folder
        self._reason = ''

    @property
    def count(self) -> int:
        """Distinct files found unreadable, by any process so far."""
        return int((self._state == _UNREADABLE).sum())

    @property
    def _tried(self) -> int:
        return int((self._state != _UNSEEN).sum())

    def readable(self, index: int) -> None:
        """Note that a file could be read."""
        self._state[index] = _READABLE

    def unreadable(self, index: int, path: str, error: Exception) -> None:
        """Note that a file could not be read, and stop if too many are."""
        if self._state[index] != _UNREADABLE:
            self._state[index] = _UNREADABLE
            reason = self._reason = why_unreadable(error, path)
            print_log(
                f'Skipped an unreadable image: {printable(path)} ({reason})',
                logger='current',
                level=logging.WARNING)
        self.check()

    def check(self) -> None:
        """Stop if too many of the files tried are unreadable."""
        tried = self._tried
        if (tried >= min(_MIN_READS, len(self._state))
                and self.count > self.max_share * tried):
            raise UnreadableImagesError(self.message())

    def message(self) -> str:
        """How many files are unreadable, and what to do."""
        # Another process may have found the others.
        last = f' (the last one: {self._reason})' if self._reason else ''
        return (f'{self.count} of the {self._tried} images tried in '
                f'{self.folder!r} cannot be read{last}, more than '
                f'max_unreadable={self.max_share} allows: repair or remove '
                'the files named in the warnings above, or raise '
                'max_unreadable.')
