# Copyright (c) OpenMMLab. All rights reserved.
"""One process per run."""
import errno
import fcntl
import json
import os
import socket
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from sbam_mm.errors import UserError

# Seconds between two signs of life, and without one until a holder on another
# machine counts as dead.
BEAT, PATIENCE = 10., 45.


class RunIsTaken(UserError):
    """Another process has the run."""


class RunLock:
    """A file that says who is working on a run, and keeps others away.

    The operating system locks the file (``flock``) and lets go of it when the
    last process that has it open has ended, however it ended. Children that
    are started with ``pass_fds=(lock.fileno(), )`` hold it, too: a training
    whose parent was killed keeps its run. On a shared folder a lock of another
    machine may be invisible, or locks unsupported; the holder therefore
    touches the file every ten seconds, and whoever finds a name in it watches
    for that. The file stays, empty, when the lock is released.

    Attributes:
        note (str): After ``with``: a sentence if the last holder ended
            without releasing the lock, or "".

    Raises:
        RunIsTaken: On entering, if a process of this machine holds it, or one
            of another machine has not released it.

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
        # Forked loader processes outlive a killed run by seconds; the lock
        # shall not.
        os.register_at_fork(after_in_child=self._file.close)
        try:
            self._take()
        except BaseException:
            self._file.close()
            raise
        return self

    def _take(self) -> None:
        unseen = False
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._taken() from None
        except OSError as error:
            # Some network file systems know no locks.
            if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP):
                raise
            unseen = True
        holder = self._holder()
        unseen = unseen or holder.get('host') != socket.gethostname()
        if holder and unseen and self._is_touched():
            raise self._taken()
        if holder:
            self.note = (f'{self._who()} has ended without finishing; its '
                         'lock is taken over.')
        self._write(
            json.dumps(
                dict(pid=os.getpid(),
                     host=socket.gethostname(),
                     since=datetime.now(timezone.utc).isoformat(
                         timespec='seconds'))))
        self._ended = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _taken(self) -> RunIsTaken:
        return RunIsTaken(
            f'{self._who()} is working on it in {self.path.parent}; wait '
            'until it has ended, or choose another folder.')

    def _beat(self) -> None:
        """Show signs of life until the lock is released."""
        while not self._ended.wait(BEAT):
            try:
                os.utime(self.path)
            except OSError:  # a file server that is away may come back
                continue

    def _is_touched(self) -> bool:
        """Whether a holder on another machine is alive."""
        before, end = os.stat(self.path).st_mtime_ns, time.monotonic(
        ) + PATIENCE
        while time.monotonic() < end:
            time.sleep(min(1., PATIENCE / 10))
            if os.stat(self.path).st_mtime_ns != before:
                return True
        return False

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        # The file stays: another process may have opened it already, and a
        # deleted one would let a third in.
        self._write('')
        # Also for children that inherited it and take a moment to end.
        with suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_UN)
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
