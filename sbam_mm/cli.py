# Copyright (c) OpenMMLab. All rights reserved.
"""What the tools share: one sentence instead of a traceback."""
import sys
from typing import Callable, Tuple, Type, TypeVar

Result = TypeVar('Result')
# A user's input was wrong, or a file; anything else is a bug and shows itself.
USER_ERRORS: Tuple[Type[Exception], ...] = (ValueError, OSError)


def run_or_explain(run: Callable[..., Result],
                   *args,
                   errors: Tuple[Type[Exception], ...] = USER_ERRORS
                   ) -> Result:
    """Call a tool's work, and end with its sentence if it cannot be done.

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
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
