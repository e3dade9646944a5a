# Copyright (c) OpenMMLab. All rights reserved.
"""What all parts of maskers, and the maskers themselves, have in common."""
from torch import nn

from sbam_mm.finite import finite_options


class Part(nn.Module):
    """A part of a masker, or a masker.

    Options that are NaN or infinite are refused when it is built, and it
    prints its options, which are its public attributes.
    """

    @property
    def needs(self) -> frozenset[str]:
        """Names of what it asks the :class:`MaskingContext` for."""
        return frozenset()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        finite_options(cls)

    def extra_repr(self) -> str:
        return ', '.join(
            f'{name}={value!r}' for name, value in vars(self).items()
            if name != 'training' and not name.startswith('_'))


def build_part(part: dict | nn.Module) -> nn.Module:
    """Build a part from its config, or take one that is built already."""
    if not isinstance(part, dict):
        return part
    # Only a config needs OpenMMLab: maskers themselves run on torch alone.
    from sbam_mm.registry import MODELS
    return MODELS.build(part)
