# Copyright (c) OpenMMLab. All rights reserved.
"""The arithmetic of salience masking as pure functions of tensors.

No state, no registry, no model. Random numbers are passed in, so every
function gives the same answer twice.

Source of the equations: Choi et al., *Salience-Based Adaptive Masking:
Revisiting Token Dynamics for Enhanced Pre-training*, ECCV 2024.
"""
from fractions import Fraction
from math import ceil, floor
from typing import Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDINGS = ('ceil', 'floor')


def affinity(tokens: Tensor,
             scale: Optional[float] = None,
             normalize: bool = False) -> Tensor:
    """Affinity of every token with every other, x xᵀ.

    Computed in float32 whatever the autocast: unscaled logits of ViT-B
    tokens reach 2000, where float16 has steps of 1 and bfloat16 of 8, which
    is enough to change which token wins a softmax row.

    Args:
        tokens (Tensor): (B, L, D).
        scale (float, optional): Factor on the logits. Defaults to None, no
            scaling, as in the paper.
        normalize (bool): L2-normalise the tokens first (cosine affinity).
            Defaults to False, as in the paper.

    Returns:
        Tensor: float32 (B, L, L); row i holds the logits of query i.
    """
    with torch.autocast(tokens.device.type, enabled=False):
        x = tokens.float()
        if normalize:
            x = F.normalize(x, dim=-1)
        logits = x @ x.transpose(1, 2)
        return logits if scale is None else logits * scale


def outgoing_weight(logits: Tensor) -> Tensor:
    """Column sums of the row-wise softmax, Eq. 3 and 4 before N(.).

    Entry j is how much all tokens together attend to token j: its *outgoing*
    weight. The mean over j is exactly 1.

    Args:
        logits (Tensor): (B, L, L).

    Returns:
        Tensor: (B, L).
    """
    return logits.softmax(dim=2).sum(dim=1)


def incoming_weight(logits: Tensor) -> Tensor:
    """Row sums of the affinity, the supplement's section 1 (AMT's view).

    The sum is taken before the softmax: after it every row sums to 1.

    Args:
        logits (Tensor): (B, L, L).

    Returns:
        Tensor: (B, L).
    """
    return logits.sum(dim=2)


def min_max(scores: Tensor) -> Tensor:
    """Scale every image's scores to [0, 1], N(.) of Eq. 4.

    Identical scores carry no preference and become 0 (0/0 in the paper), and
    so does an image with a score that is not finite: its mask is then random
    instead of NaN. "Identical" means up to float32's rounding: sums over
    equal columns may differ in the last digits, which must not be blown up
    to [0, 1].

    Args:
        scores (Tensor): (B, L).

    Returns:
        Tensor: (B, L).
    """
    low = scores.amin(dim=1, keepdim=True)
    high = scores.amax(dim=1, keepdim=True)
    width = high - low
    rounding = 1e-5 * torch.maximum(low.abs(), high.abs())
    # NaN and inf anywhere in the row make `width` NaN or inf.
    valid = torch.isfinite(width) & (width > rounding)
    scaled = (scores - low) / torch.where(valid, width, 1.)
    return torch.where(valid, scaled, 0.)


def exact_fraction(value: float) -> Fraction:
    """The decimal number that was written, without float's rounding.

    ``196 * (1 - 0.9)`` is 19.599999999999998 in floats; ratios are written
    with a few digits, so fractions make the counts exact.
    """
    return Fraction(value).limit_denominator(10**6)


def visible_count(num_tokens: int,
                  ratio: Union[float, Fraction],
                  rounding: str = 'floor') -> int:
    """Tokens that stay visible at a masking ratio, L (1 - r).

    Args:
        num_tokens (int): L.
        ratio (float or Fraction): r.
        rounding (str): "floor" (MAE) or "ceil" (the SBAM paper).
            Defaults to "floor".

    Returns:
        int: At least 1, so that no image is left without any token.

    Example:
        >>> visible_count(196, 0.75), visible_count(196, 0.6, 'ceil')
        (49, 79)
    """
    round_ = floor if rounding == 'floor' else ceil
    if not isinstance(ratio, Fraction):
        ratio = exact_fraction(ratio)
    return max(1, round_(num_tokens * (1 - ratio)))


def order_to_rank(order: Tensor) -> Tensor:
    """Inverse of the permutations ``order`` (B, L): the rank of each token."""
    positions = torch.arange(order.shape[1], device=order.device)
    return torch.empty_like(order).scatter_(1, order,
                                            positions.expand_as(order))


def hide_top(key: Tensor, num_visible: Union[int, Tensor]) -> Tensor:
    """Hide the tokens with the highest keys.

    "Sort ascending and select the top K" of section 3: the K lowest stay.

    Args:
        key (Tensor): (B, L).
        num_visible (int or Tensor): K, one for all images or (B,).

    Returns:
        Tensor: Boolean (B, L), True = masked. Equal keys are taken in grid
        order.
    """
    rank = order_to_rank(torch.argsort(key, dim=1, stable=True))
    if isinstance(num_visible, Tensor):
        num_visible = num_visible[:, None]
    return rank >= num_visible
