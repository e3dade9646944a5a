# Copyright (c) OpenMMLab. All rights reserved.
"""Errors that a user can put right."""
from collections.abc import Collection


class UserError(ValueError):
    """A wrong option, file or batch; the message says what to change.

    The message is one sentence, and a tool prints it without a traceback.
    """


class MissingFile(UserError, FileNotFoundError):
    """A file or folder that is not there, or lacks what it should hold."""


class MissingLibrary(ModuleNotFoundError, UserError):
    """A library that an extra of this package would have installed."""


class NotEnoughMemory(UserError, MemoryError):
    """More would be kept in memory than was allowed."""


class LossNotFinite(UserError, FloatingPointError):
    """A training that has diverged."""


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """Stop unless an option has one of its values."""
    if value not in choices:
        raise UserError(
            f'{name} must be one of {tuple(choices)}, got {value!r}.')
