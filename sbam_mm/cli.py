# Copyright (c) OpenMMLab. All rights reserved.
"""What the tools share: one sentence instead of a traceback."""
import os
import sys
from typing import Any, Callable, Tuple, Type, TypeVar

Result = TypeVar('Result')
# A user's input was wrong, or a file; anything else is a bug and shows itself.
USER_ERRORS: Tuple[Type[Exception], ...] = (ValueError, OSError)


def run_or_explain(run: Callable[..., Result],
                   *args,
                   errors: Tuple[Type[Exception], ...] = USER_ERRORS
                   ) -> Result:
    """Call a tool's work, and end with its sentence if it cannot be done.

    Of several processes the first one that fails tells why, and the others
    end without a word.

    Args:
        run (Callable): The work.
        *args: Passed on.
        errors (tuple): Exceptions whose message is for the user.
            Defaults to ``USER_ERRORS``.

    Returns:
        What ``run`` returns.

    Raises:
        SystemExit: With status 2, the message on standard error.

    Example:
        >>> run_or_explain(int, '7')
        7
    """
    try:
        return run(*args)
    except errors as error:
        if _speaks():
            print(f'error: {error}', file=sys.stderr, flush=True)
        sys.exit(2)
    except RuntimeError:
        # So ends a collective call that another process has left.
        if _another_spoke():
            sys.exit(2)
        raise


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
    # Most tools have no need of torch before their work begins.
    import torch.distributed as dist
    if not (dist.is_available() and dist.is_initialized()):
        return None
    return dist.distributed_c10d._get_default_store()
