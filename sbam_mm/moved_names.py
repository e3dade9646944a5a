# Copyright (c) OpenMMLab. All rights reserved.
"""Names that used to be exported from another package."""
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def moved(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose names live elsewhere now.

    Args:
        package (str): Its name.
        names (Mapping[str, str]): Old names and where they are, in full.

    Example:
        >>> find = moved('old', {'parse': 'json.loads'})
        >>> with warnings.catch_warnings(record=True) as told:
        ...     find('parse')('[1]'), str(told[0].message)
        ([1], 'old.parse is now json.loads.')
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f'module {package!r} has no attribute '
                                 f'{name!r}')
        module, _, new = names[name].rpartition('.')
        warnings.warn(f'{package}.{name} is now {names[name]}.',
                      DeprecationWarning, stacklevel=2)
        return getattr(import_module(module), new)

    return find
