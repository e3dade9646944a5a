# Copyright (c) OpenMMLab. All rights reserved.
"""In which type the blocks add up what they compute."""
import torch
from torch import Tensor, nn

from sbam_mm.errors import UserError, check_choice

from .block import Block

RESIDUAL_DTYPES = ('float32', 'bfloat16')


def set_residual_dtype(part: nn.Module, name: str) -> None:
    """Set an encoder's or decoder's option of this name, after its blocks."""
    check_choice('residual_dtype', name, RESIDUAL_DTYPES)
    for module in part.modules():
        if module is part or isinstance(module, Block):
            module.residual_dtype = name


def as_residual(part: nn.Module, x: Tensor) -> Tensor:
    """What enters the blocks of an encoder or decoder, in its type.

    Without autocast, as in evaluation or on the CPU, it stays as it is.

    Raises:
        UserError: If it is to be bfloat16 in a training on a GPU that is not.
    """
    if getattr(part, 'residual_dtype', 'float32') == 'float32':
        return x
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        if torch.get_autocast_dtype(kind) == torch.bfloat16:
            return x.bfloat16()
    elif not (part.training and x.is_cuda):
        return x
    raise UserError(
        "residual_dtype='bfloat16' is for training in bfloat16; set "
        "optim_wrapper.type='AmpOptimWrapper' and "
        "optim_wrapper.dtype='bfloat16', or leave residual_dtype out.")
