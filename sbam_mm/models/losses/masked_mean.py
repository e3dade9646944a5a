# Copyright (c) OpenMMLab. All rights reserved.
"""The mean over masked tokens, exact over all processes."""
import torch
from mmengine.dist import all_reduce
from torch import Tensor

REDUCTIONS = ('token', 'sample')


def masked_mean(values: Tensor,
                masked: Tensor,
                reduction: str = 'token') -> Tensor:
    """Average per-token losses over the masked tokens of the global batch.

    With per-image ratios the ranks hide different numbers of tokens, so the
    mean of the ranks' means is not the mean over the global batch. Each rank
    divides by the global weight instead (one all-reduce of one number), so
    that the gradients that DDP averages are those of one process that sees
    the whole batch. The value on one rank is its share; the mean over the
    ranks is the loss.

    Over the micro-batches of gradient accumulation it is not exact: each is
    divided by its own weight before the next one's is known, so that with
    per-image ratios and "token" a micro-batch of few masked tokens weighs as
    much as one of many.

    Args:
        values (Tensor): Loss of each token, (B, L).
        masked (Tensor): Boolean (B, L), True = counts.
        reduction (str): "token" weighs all masked tokens of the batch alike
            (Eq. 2 of the SBAM paper; an image with more masked tokens weighs
            more), "sample" all images that have any.

    Returns:
        Tensor: A scalar; 0 if nothing is masked anywhere.

    Example:
        >>> values = torch.tensor([[1., 3.], [5., 9.]])
        >>> masked = torch.tensor([[True, True], [True, False]])
        >>> masked_mean(values, masked), masked_mean(values, masked, 'sample')
        (tensor(3.), tensor(3.5000))
    """
    weight = masked.float()
    if reduction == 'sample':
        weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1)
    total = weight.sum()
    mean_total = total.clone()
    all_reduce(mean_total, op='mean')
    # Loss of visible tokens is cut off rather than multiplied by 0, so that
    # an infinite value there cannot make the result NaN.
    kept = torch.where(masked, values.float(), 0.)
    return (kept * weight).sum() / torch.where(mean_total > 0, mean_total, 1.)
