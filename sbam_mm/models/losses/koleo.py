# Copyright (c) OpenMMLab. All rights reserved.
"""Spread features evenly: the Kozachenko-Leonenko regulariser."""
import torch
import torch.nn.functional as F
from torch import Tensor


def koleo(features: Tensor) -> Tensor:
    r"""How close each sample of a batch is to its nearest neighbour.

    .. math:: -\frac{1}{n} \sum_i \log \min_{j \neq i} \|x_i - x_j\|

    of features x at unit length. Source: Sablayrolles et al., *Spreading
    Vectors for Similarity Search*, ICLR 2019; Oquab et al., *DINOv2*, TMLR
    2024, who compare the samples of one process.

    Args:
        features (Tensor): (n, D).

    Returns:
        Tensor: A float32 scalar; 0 for a single sample.

    Example:
        >>> round(koleo(torch.tensor([[1., 0.], [0., 1.]])).item(), 4)
        -0.3466
    """
    with torch.autocast(features.device.type, enabled=False):
        x = F.normalize(features.float(), dim=-1)
        if len(x) < 2:
            return 0. * x.sum()
        with torch.no_grad():
            alike = (x @ x.T).fill_diagonal_(-torch.inf)
            nearest = alike.argmax(dim=1)
        distance = F.pairwise_distance(x, x[nearest], eps=1e-8)
        return -(distance + 1e-8).log().mean()
