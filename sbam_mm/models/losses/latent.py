# Copyright (c) OpenMMLab. All rights reserved.
"""What methods share that predict features instead of pixels."""
import torch
from torch import Tensor


@torch.no_grad()
def feature_std(features: Tensor) -> Tensor:
    """Standard deviation over tokens, mean over channels; 0 is a collapse.

    Where all tokens of all images have the same features a loss on them is
    as low as can be, and nothing was learnt.

    Args:
        features (Tensor): (..., D); of this process alone.

    Example:
        >>> feature_std(torch.tensor([[1., 0.], [3., 0.]])).item()
        0.5
    """
    flat = features.flatten(0, -2).float()
    return flat.var(dim=0, correction=0).sqrt().mean()
