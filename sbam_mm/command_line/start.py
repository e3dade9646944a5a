# Copyright (c) OpenMMLab. All rights reserved.
"""How every tool starts, and how it ends when something is wrong."""
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from .explain import sentence_of

Result = TypeVar('Result')
# A tool ends with it after its sentence; the launcher then adds nothing.
FAILED = 2
_place: dict[str, str] = {}


def parses_first(parse_args: Callable[[], Result]) -> Callable[[], Result]:
    """Read the command line before what a tool needs is imported.

    A tool's ``parse_args`` stands above the imports of its work. In a program
    that a user has started it is called on the spot, so that ``--help`` and
    wrong options wait for neither torch nor mmengine, and ``main`` gets what
    it returned. Imported as a module the function is as it was written.

    Example::

        @parses_first
        def parse_args() -> argparse.Namespace:
            return ToolParser(__doc__).parse_args()


        import torch
    """
    if parse_args.__module__ != '__main__':
        return parse_args
    # About parts of the stack that no tool uses, and loaders on a CPU.
    warnings.filterwarnings('ignore', "Fail to import|'pin_memory' argument")
    args = parse_args()
    return lambda: args


def tool(main: Callable[[], None]) -> Callable[[], None]:
    """A tool's ``main``, as a program that a user has started.

    Checkpoints and YAML files are read as data from here on (see
    :func:`sbam_mm.safe_loading.use_safe_loading`), and whatever goes wrong
    ends with one sentence, see :func:`run_or_explain`.
    """

    @wraps(main)
    def started() -> None:
        # Imported here, so that `--help` needs no torch.
        from sbam_mm.safe_loading import use_safe_loading
        use_safe_loading()
        run_or_explain(main)

    return started


def run_or_explain(run: Callable[..., Result], *args: Any) -> Result:
    """Call a tool's work, and end with a sentence if it cannot be done.

    An error that nobody foresaw gets a sentence, too, which names the file
    that its traceback is in. Of several processes the first one that fails
    tells why, and the others end without a word.

    Raises:
        SystemExit: With status 2 and the sentence on standard error; with 130
            for Ctrl-C.
    """
    try:
        return run(*args)
    except KeyboardInterrupt:
        say('stopped by Ctrl-C.')
        sys.exit(130)
    except Exception as error:
        # So ends a collective call that another process has left.
        if isinstance(error, RuntimeError) and _another_spoke():
            sys.exit(FAILED)
        if _speaks():
            say(f'error: {sentence_of(error) or unforeseen(error)}')
        sys.exit(FAILED)


def say(text: str) -> None:
    """Print on standard error, whatever names the text has in it."""
    line = ' '.join(text.split('\n')).encode(
        sys.stderr.encoding or 'utf-8', 'backslashreplace').decode(
            sys.stderr.encoding or 'utf-8', 'replace')
    print(line, file=sys.stderr, flush=True)


def keep_tracebacks_in(folder: str | Path) -> None:
    """Where a traceback goes that nobody foresaw; by default /tmp."""
    _place['folder'] = str(folder)


def unforeseen(error: BaseException) -> str:
    """Keep the traceback, and say in one sentence where it is."""
    text = ''.join(traceback.format_exception(error))
    reason = next((line.strip() for line in str(error).splitlines()
                   if line.strip()), '')
    said = f'{type(error).__name__}: {reason[:300]}'
    for folder in (_place.get('folder'), tempfile.gettempdir()):
        if folder is None:
            continue
        try:
            os.makedirs(folder, exist_ok=True)
            path = Path(folder) / f'traceback_{os.getpid()}.txt'
            path.write_text(text, encoding='utf-8', errors='backslashreplace')
        except OSError:
            continue
        return (f'{said} (this was not foreseen; the traceback is in {path}, '
                'please report it).')
    sys.stderr.write(text)
    return f'{said}.'


def _speaks() -> bool:
    """Whether this process is the first of its group that has failed."""
    store = _group_store()
    if store is None:
        # Not connected yet: on every machine the same process speaks.
        return os.environ.get('LOCAL_RANK', '0') == '0'
    return store.add('failures', 1) == 1


def _another_spoke() -> bool:
    store = _group_store()
    return store is not None and store.add('failures', 0) > 0


def _group_store() -> Any:
    """What the processes of a group write to; None without a group."""
    dist = sys.modules.get('torch.distributed')
    if dist is None or not (dist.is_available() and dist.is_initialized()):
        return None
    return dist.distributed_c10d._get_default_store()
