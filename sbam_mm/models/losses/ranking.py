# Copyright (c) OpenMMLab. All rights reserved.
"""Learning to rank: of two tokens, which has the higher value?"""
from torch import Tensor

from .masked_mean import masked_mean


def ranking_loss(predicted: Tensor,
                 values: Tensor,
                 masked: Tensor,
                 reduction: str = 'token') -> Tensor:
    r"""Pairwise cross-entropy on the order of masked tokens of an image.

    .. math:: -\log(\sigma(p_i - p_j) + 10^{-6})
        \quad\text{for all masked } i, j \text{ with } l_i > l_j

    averaged over the pairs of the global batch.

    Source: Wang et al., *Hard Patches Mining for Masked Image Modeling*,
    CVPR 2023, the relative loss: its two terms count each pair twice, with
    equal values.

    Args:
        predicted (Tensor): p, (B, L).
        values (Tensor): l, what is to be ranked, (B, L); no gradient flows
            into it.
        masked (Tensor): Boolean (B, L), True = takes part.
        reduction (str): "token" weighs all pairs of the batch alike, so that
            an image with twice the masked tokens weighs four times as much;
            "sample" all images that have a pair.

    Returns:
        Tensor: A scalar; 0 where there is no pair, and log 2 = 0.69 for a
        prediction that tells nothing.
    """
    pairs = masked[:, :, None] & masked[:, None, :]
    pairs = pairs & (values[:, :, None] > values[:, None, :])
    predicted = predicted.float()
    difference = predicted[:, :, None] - predicted[:, None, :]
    error = -(difference.sigmoid() + 1e-6).log()
    return masked_mean(error.flatten(1), pairs.flatten(1), reduction)
