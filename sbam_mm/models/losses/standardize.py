# Copyright (c) OpenMMLab. All rights reserved.
"""z-scores within each image."""
import torch
from torch import Tensor


def standardize(values: Tensor, counted: Tensor) -> Tensor:
    """z-scores within each image, float32 (B, L).

    Args:
        values (Tensor): (B, L).
        counted (Tensor): Boolean (B, L): the tokens that mean and variance
            (unbiased, 1e-6 inside the root) are taken of. The score of others
            is 0, and that of an image's only counted token.

    Example:
        >>> values = torch.tensor([[1., 3., 100.]])
        >>> counted = torch.tensor([[True, True, False]])
        >>> [round(z, 3) for z in standardize(values, counted)[0].tolist()]
        [-0.707, 0.707, 0.0]
    """
    count = counted.sum(dim=1, keepdim=True)
    # Cut off rather than multiplied, so that infinities elsewhere do no harm.
    kept = torch.where(counted, values.float(), 0.)
    mean = kept.sum(dim=1, keepdim=True) / count.clamp(min=1)
    centred = torch.where(counted, kept - mean, 0.)
    var = centred.square().sum(dim=1, keepdim=True) / (count - 1).clamp(min=1)
    return centred / (var + 1e-6).sqrt()
