# Copyright (c) OpenMMLab. All rights reserved.
"""Libraries that only some users have."""
from importlib import import_module
from typing import Any

from .errors import MissingLibrary


def extra_library(name: str, extra: str, who: str) -> Any:
    """Import a library, or say which extra of this package brings it.

    Args:
        who (str): Needs it, as the sentence begins.

    Raises:
        MissingLibrary: If it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # it is there, and lacks something itself
            raise
        raise MissingLibrary(
            f'{who} needs {name}, which is not installed; run `pip install '
            f"'sbam_mm[{extra}]'`.", name=name) from None
