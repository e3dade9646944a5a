# Copyright (c) OpenMMLab. All rights reserved.
"""Choices that hold for every process of a run, through its environment."""
import os
from collections.abc import Iterator
from contextlib import contextmanager


class Switch:
    """A choice in the environment, which child processes inherit.

    Args:
        variable (str): On if it is set to anything but "" and "0".

    Example:
        >>> switch = Switch('SBAM_MM_EXAMPLE')
        >>> with switch.set():
        ...     switch.is_on()
        True
        >>> switch.is_on()
        False
    """

    def __init__(self, variable: str):
        self.variable = variable

    def is_on(self) -> bool:
        return os.environ.get(self.variable, '0') not in ('', '0')

    def turn_on(self) -> None:
        """On from here to the end of the process."""
        os.environ[self.variable] = '1'

    @contextmanager
    def set(self, on: bool = True) -> Iterator[None]:
        """On or off inside a ``with``."""
        before = os.environ.get(self.variable)
        os.environ[self.variable] = str(int(on))
        try:
            yield
        finally:
            if before is None:
                del os.environ[self.variable]
            else:
                os.environ[self.variable] = before


# The plain paths in place of fast ones that sum in another order: equal only
# up to float32's rounding, which can decide which of two tokens is hidden.
# ``tools/train.py --exact``, or ``with exact():`` in Python.
EXACT = Switch('SBAM_MM_EXACT')
exact, is_exact = EXACT.set, EXACT.is_on
# Checkpoints may hold any Python object, code included: ``--trust-pickle``.
TRUST_PICKLE = Switch('SBAM_MM_TRUST_PICKLE')
# A run may go on as another one: ``tools/train.py --resume-anyway``.
RESUME_ANYWAY = Switch('SBAM_MM_RESUME_ANYWAY')
