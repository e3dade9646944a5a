# Copyright (c) OpenMMLab. All rights reserved.
"""In which type the blocks add up what they compute."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbam_mm.errors import UserError, check_choice

RESIDUAL_DTYPES = ('float32', 'bfloat16')


def set_residual_dtype(part: nn.Module, name: str) -> None:
    """Set an encoder's or decoder's option of this name, after its blocks."""
    check_choice('residual_dtype', name, RESIDUAL_DTYPES)
    for module in part.modules():
        module.residual_dtype = name


def normalise(block: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """A norm of a block, in bfloat16 where its tokens are to be so.

    Its mean and variance are float32 all the same. Autocast would copy the
    tokens to float32 before and the result to bfloat16 after it.
    """
    if not (getattr(block, 'residual_dtype', 'float32') == 'bfloat16'
            and x.dtype == torch.bfloat16 and isinstance(norm, nn.LayerNorm)):
        return norm(x)
    with torch.autocast(x.device.type, enabled=False):
        return F.layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype),
                            norm.bias.to(x.dtype), norm.eps)


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
