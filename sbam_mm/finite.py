# Copyright (c) OpenMMLab. All rights reserved.
"""Reject NaN and infinite options up front."""
import inspect
import math
from collections.abc import Iterator
from functools import wraps
from typing import Any

from sbam_mm.errors import UserError


def not_finite(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """NaN and infinite numbers in an option, by name.

    Example:
        >>> list(not_finite(dict(noise=float('nan'), ratio=.5), 'masker'))
        [('masker.noise', nan)]
    """
    if isinstance(value, dict):
        for key, part in value.items():
            yield from not_finite(part, f'{name}.{key}')
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from not_finite(part, name)
    # NumPy's float64 is a float, too.
    elif isinstance(value, float) and not math.isfinite(value):
        yield name, value


def finite_options(cls: Any) -> Any:
    """Make a class refuse options that are NaN or infinite when it is built.

    ``noise < 0`` is false for NaN, so checks of ranges let it pass, and what
    is masked or weighted by it silently goes wrong. The class is changed in
    place, if it has an ``__init__`` of its own.

    Example:
        >>> @finite_options
        ... class Noise:
        ...     def __init__(self, noise=.5):
        ...         self.noise = noise
        >>> Noise(float('inf'))
        Traceback (most recent call last):
        ...
        sbam_mm.errors.UserError: noise=inf of Noise is no finite \
number; set another.
    """
    init = vars(cls).get('__init__') if inspect.isclass(cls) else None
    if not inspect.isfunction(init) or hasattr(init, 'refuses_not_finite'):
        return cls
    signature = inspect.signature(init)

    @wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            options = signature.bind(self, *args, **kwargs).arguments
        except TypeError:  # Python's own sentence is the better one
            options = {}
        for key, option in list(options.items())[1:]:
            # Options that are passed on have their own names.
            passed_on = signature.parameters[key].kind is (
                inspect.Parameter.VAR_KEYWORD)
            named = option if passed_on else {key: option}
            for name, value in (found for own, part in named.items()
                                for found in not_finite(part, own)):
                raise UserError(
                    f'{name}={value} of {cls.__name__} is no finite number; '
                    'set another.')
        init(self, *args, **kwargs)

    checked.refuses_not_finite = True  # type: ignore[attr-defined]
    cls.__init__ = checked
    return cls
