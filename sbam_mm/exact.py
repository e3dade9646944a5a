# Copyright (c) OpenMMLab. All rights reserved.
"""One switch that turns off what is fast and equal only up to rounding.

A fast path that sums in another order than the plain one gives the same
numbers up to float32's rounding, and a rounding can decide which of two
tokens is hidden. ``tools/train.py --exact``, ``SBAM_MM_EXACT=1`` in the
environment (which reaches every process of a distributed run) or
``with exact():`` in Python choose the plain paths.
"""
from .switches import Switch

EXACT = Switch('SBAM_MM_EXACT')
# Choose the plain paths, or with False the fast ones, inside a ``with``.
exact = EXACT.set


def is_exact() -> bool:
    """Whether the plain paths are asked for.

    Example:
        >>> with exact():
        ...     is_exact()
        True
    """
    return EXACT.is_on()
