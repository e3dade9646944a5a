# Copyright (c) OpenMMLab. All rights reserved.
"""One process per run."""
import fcntl
import json
import os
import socket
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any


class RunIsTaken(Exception):
    """Another process has the run; the message is a sentence for the user."""


class RunLock:
    """A file that says who is working on a run, and keeps others away.

    The operating system locks the file (``flock``) and lets go of it when the
    last process that has it open has ended, however it ended. Children that
    are started with ``pass_fds=(lock.fileno(), )`` hold it, too: a training
    whose parent was killed keeps its run. On a shared folder, where a lock of
    another machine may be invisible, the name in the file decides.

    Args:
        path (str or Path): The file; its folder is made. It stays, empty,
            when the lock is given back.

    Attributes:
        note (str): After ``with``: a sentence if the last holder ended
            without giving the lock back, or "".

    Raises:
        RunIsTaken: On entering, if a process of this machine holds it, or one
            of another machine has not given it back.

    Example::

        with RunLock('work_dirs/run/run.lock') as lock:
            subprocess.run(command, pass_fds=(lock.fileno(), ))
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.note = ''
        self._file: IO[str]

    def __enter__(self) -> 'RunLock':
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, 'a+', encoding='utf-8')
        try:
            self._take()
        except BaseException:
            self._file.close()
            raise
        return self

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunIsTaken(f'{self._who()} is working on it.') from None
        holder = self._holder()
        if holder and holder.get('host') != socket.gethostname():
            raise RunIsTaken(
                f'{self._who()} is working on it, or ended without saying '
                f'so; in the second case delete {self.path}.')
        if holder:
            self.note = (f'{self._who()} has ended without finishing; its '
                         'lock is taken over.')
        self._write(
            json.dumps(
                dict(pid=os.getpid(),
                     host=socket.gethostname(),
                     since=datetime.now(timezone.utc).isoformat(
                         timespec='seconds'))))

    def __exit__(self, *error: object) -> None:
        # The file stays: another process may have opened it already, and a
        # deleted one would let a third in.
        self._write('')
        self._file.close()

    def fileno(self) -> int:
        """The descriptor that a child inherits to hold the lock."""
        return self._file.fileno()

    def _write(self, text: str) -> None:
        self._file.truncate(0)
        self._file.write(text)
        self._file.flush()

    def _holder(self) -> dict[str, Any]:
        self._file.seek(0)
        text = self._file.read()
        try:
            holder = json.loads(text)
        except json.JSONDecodeError:
            # Empty when free; half a line of a process that was killed.
            return {}
        return holder if isinstance(holder, dict) else {}

    def _who(self) -> str:
        holder = self._holder()
        if not holder:
            return 'another process'
        return (f'process {holder.get("pid")} on {holder.get("host")} (since '
                f'{holder.get("since")})')
