# Copyright (c) OpenMMLab. All rights reserved.
"""What all parts of maskers, and the maskers themselves, have in common."""
from typing import Any

from torch import Tensor, nn

from sbam_mm.finite import finite_options

from .types import MaskingContext, TokenMask


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


class AsksContext(Part):
    """A masker, called with a context or with what makes one.

    ``masker(tokens, grid, images=..., progress=...)`` has the arguments of
    :class:`MaskingContext`, and those of ``forward`` by name.

    Example:
        >>> import torch
        >>> from sbam_mm.masking import SBAM
        >>> mask = SBAM()(torch.randn(2, 196, 32), (14, 14))
        >>> mask.masked.shape
        torch.Size([2, 196])
    """

    def __call__(self, context: MaskingContext | Tensor, *args: Any,
                 **known: Any) -> TokenMask:
        if isinstance(context, Tensor):
            fields = MaskingContext.__dataclass_fields__
            context = MaskingContext(context, *args, **{
                name: known.pop(name) for name in fields.keys() & known})
            args = ()
        return super().__call__(context, *args, **known)


def build_part(part: dict | nn.Module) -> nn.Module:
    """Build a part from its config, or take one that is built already."""
    if not isinstance(part, dict):
        return part
    # Only a config needs OpenMMLab: maskers themselves run on torch alone.
    from sbam_mm.registry import MODELS
    return MODELS.build(part)
