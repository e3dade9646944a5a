# Copyright (c) OpenMMLab. All rights reserved.
"""Targets that use all prototypes alike, instead of a moving centre."""
import torch
from mmengine.dist import all_reduce
from torch import Tensor

TINY = torch.finfo(torch.float32).tiny


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor, iterations: int = 3) -> Tensor:
    """Probabilities of N samples over K prototypes, all of which are used.

    exp(logits) is scaled in turn so that all prototypes get N / K of the
    samples and every sample is one in sum; over the samples of all
    processes, which may have different numbers.

    Source: Caron et al., *Unsupervised Learning of Visual Features by
    Contrasting Cluster Assignments*, NeurIPS 2020, Eq. 3 to 5 and appendix A;
    with 3 iterations the centring of Oquab et al., *DINOv2*, TMLR 2024.

    Args:
        logits (Tensor): Divided by the temperature already, (..., K).

    Returns:
        Tensor: float32 (..., K); each row adds up to 1.

    Example:
        >>> shares = sinkhorn_knopp(torch.randn(8, 4), iterations=50)
        >>> shares.sum(dim=0).round().tolist()  # of 8 samples
        [2.0, 2.0, 2.0, 2.0]
    """
    flat = logits.float().flatten(0, -2)
    # A factor on all of exp(logits) changes nothing, but may overflow.
    top = flat.new_full((), -torch.inf)
    if len(flat):
        top = flat.max()
    all_reduce(top, op='max')
    shares = (flat - top).exp()
    for _ in range(iterations):
        used = shares.sum(dim=0)
        all_reduce(used, op='sum')
        # Neither prototypes nor samples are ever far from all others, but
        # 0 / 0 would be.
        shares = shares / used.clamp(min=TINY)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=TINY)
    return shares.view(logits.shape)
