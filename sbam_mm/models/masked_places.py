# Copyright (c) OpenMMLab. All rights reserved.
"""Where a batch is masked, without stopping the device to ask."""
from collections.abc import Callable

from torch import Tensor

from sbam_mm.masking import TokenMask
from sbam_mm.packed import kept_places
from sbam_mm.to_host import ToHost


def counting(token_mask: TokenMask) -> Callable[[], int]:
    """Ask how many patches are masked; the answer may be wanted later."""
    masked = token_mask.masked
    if token_mask.num_visible is not None and token_mask.thrown is None:
        known = masked.numel() - len(masked) * token_mask.num_visible
        return lambda: known
    return ToHost(masked.sum()).read


def masked_places(token_mask: TokenMask,
                  count: Callable[[], int] | None = None) -> Tensor:
    """Positions of the masked patches in the flattened batch, int64 (T,).

    Args:
        count (Callable, optional): From :func:`counting`, asked before.

    Example:
        >>> import torch
        >>> masked = torch.tensor([[True, False], [True, True]])
        >>> masked_places(TokenMask(masked)).tolist()
        [0, 2, 3]
    """
    count = count or counting(token_mask)
    return kept_places(token_mask.masked.flatten(), count()).squeeze(1)
