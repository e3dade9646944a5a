# Copyright (c) OpenMMLab. All rights reserved.
"""Numbers that a back-end can work with."""
import math
from collections.abc import Collection, Mapping
from typing import Any

from sbam_mm.errors import UserError


def check_options(options: Mapping[str, Any],
                  least: Mapping[str, float] = {},
                  most: Mapping[str, float] = {},
                  whole: Collection[str] = ()) -> None:
    """Stop at what is no number, or out of range.

    Args:
        least (Mapping[str, float]): The smallest values, where not 0.
        most (Mapping[str, float]): The largest values.
        whole (Collection[str]): Which have no fractions.

    Example:
        >>> check_options(dict(side=0), least=dict(side=1))
        Traceback (most recent call last):
            ...
        sbam_mm.errors.UserError: side=0 cannot be; give a number of at \
least 1.
    """
    for name, value in options.items():
        low, high = least.get(name, 0), most.get(name, math.inf)
        kinds = int if name in whole else (int, float)
        if not isinstance(value, kinds) or not low <= value <= high:
            wanted = 'a whole number' if name in whole else 'a number'
            if low > -math.inf:
                wanted += f' of at least {low}'
            if high < math.inf:
                wanted += f' and at most {high}'
            raise UserError(f'{name}={value!r} cannot be; give {wanted}.')
