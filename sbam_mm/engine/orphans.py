# Copyright (c) OpenMMLab. All rights reserved.
"""Processes of a run end with their launcher."""
import os
import sys
import threading

SECONDS = 2.
_watching = threading.Event()


def end_with_launcher() -> None:
    """End this process soon after its parent has ended, for whatever reason.

    torchrun ends its processes when it is terminated. When it is killed they
    would train on, invisible to whoever starts the run again. Further calls
    do nothing.
    """
    if _watching.is_set():
        return
    _watching.set()
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent, ), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        threading.Event().wait(SECONDS)
    print(f'error: the launcher (process {parent}) has ended, so this process '
          f'of the run ends, too; start it again with --resume.',
          file=sys.stderr, flush=True)
    # Other threads may wait for processes that are gone: no clean-up.
    os._exit(1)
