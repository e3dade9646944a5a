# Copyright (c) OpenMMLab. All rights reserved.
"""One switch that turns off what is fast and equal only up to rounding.

A fast path that sums in another order than the plain one gives the same
numbers up to float32's rounding, and a rounding can decide which of two
tokens is hidden. ``tools/train.py --exact``, ``SBAM_MM_EXACT=1`` in the
environment (which reaches every process of a distributed run) or
``with exact():`` in Python choose the plain paths.
"""
import os
from contextlib import contextmanager
from typing import Iterator

VARIABLE = 'SBAM_MM_EXACT'


def is_exact() -> bool:
    """Whether the plain paths are asked for.

    Example:
        >>> with exact():
        ...     is_exact()
        True
    """
    return os.environ.get(VARIABLE, '0') not in ('', '0')


@contextmanager
def exact(on: bool = True) -> Iterator[None]:
    """Choose the plain paths, or the fast ones, inside a ``with``.

    Args:
        on (bool): Plain, or fast even where the environment says plain.
            Defaults to True.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(int(on))
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
