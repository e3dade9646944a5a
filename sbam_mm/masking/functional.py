# Copyright (c) OpenMMLab. All rights reserved.
"""The arithmetic of salience masking as pure functions of tensors.

No state, no registry, no model. Random numbers are passed in, so every
function gives the same answer twice.

Source of the equations: Choi et al., *Salience-Based Adaptive Masking:
Revisiting Token Dynamics for Enhanced Pre-training*, ECCV 2024.
"""
from fractions import Fraction
from math import ceil, floor

import torch
import torch.nn.functional as F
from torch import Tensor

from sbam_mm.errors import UserError

ROUNDINGS = ('ceil', 'floor')


def affinity(tokens: Tensor,
             scale: float | None = None,
             normalize: bool = False) -> Tensor:
    """Affinity of every token with every other, x xᵀ.

    Computed in float32 whatever the autocast: unscaled logits of ViT-B
    tokens reach 2000, where float16 has steps of 1 and bfloat16 of 8, which
    is enough to change which token wins a softmax row.

    Args:
        tokens (Tensor): (B, L, D).
        scale (float, optional): Factor on the logits; none in the paper.
        normalize (bool): Cosine affinity; not in the paper.

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
        logits (Tensor): (B, L, L), or the rows of some queries, (B, n, L).
    """
    return logits.softmax(dim=2).sum(dim=1)


def incoming_weight(logits: Tensor) -> Tensor:
    """Row sums of the affinity, the supplement's section 1 (AMT's view).

    The logits (B, L, L) are summed before the softmax: after it every row
    sums to 1.
    """
    return logits.sum(dim=2)


@torch.no_grad()
def chunked_outgoing_weight(tokens: Tensor,
                            scale: float | None = None,
                            normalize: bool = False,
                            chunk: int | None = None) -> Tensor:
    """:func:`outgoing_weight` of :func:`affinity`, never holding L x L.

    A row of the softmax needs that row's logits only, so a few queries at a
    time attend to all tokens and what they give is added up: one pass, the
    same arithmetic up to the order of the sums.

    Args:
        tokens (Tensor): (B, L, D).
        chunk (int, optional): Queries at a time. Defaults to None: L / 32,
            which takes 1/32 of the memory.

    Returns:
        Tensor: float32 (B, L); equal to the plain one to a relative 1e-5.

    Example:
        >>> x = torch.arange(96.).sin().view(2, 16, 3)
        >>> torch.allclose(chunked_outgoing_weight(x, chunk=5),
        ...                outgoing_weight(affinity(x)))
        True
    """
    with torch.autocast(tokens.device.type, enabled=False):
        x = tokens.float()
        if normalize:
            x = F.normalize(x, dim=-1)
        keys = x.transpose(1, 2)
        weight = x.new_zeros(x.shape[:2])
        for queries in x.split(chunk or max(1, x.shape[1] // 32), dim=1):
            if scale is not None:
                queries = queries * scale
            weight += outgoing_weight(queries @ keys)
        return weight


def min_max(scores: Tensor) -> Tensor:
    """Scale every image's scores (B, L) to [0, 1], N(.) of Eq. 4.

    Identical scores carry no preference and become 0 (0/0 in the paper), and
    so does an image with a score that is not finite: its mask is then random
    instead of NaN. "Identical" means up to float32's rounding: sums over
    equal columns may differ in the last digits, which must not be blown up
    to [0, 1].
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
                  ratio: float | Fraction,
                  rounding: str = 'floor') -> int:
    """Tokens that stay visible at a masking ratio, L (1 - r); at least 1.

    Args:
        rounding (str): "floor" (MAE) or "ceil" (the SBAM paper).

    Example:
        >>> visible_count(196, 0.75), visible_count(196, 0.6, 'ceil')
        (49, 79)
    """
    round_ = floor if rounding == 'floor' else ceil
    if not isinstance(ratio, Fraction):
        ratio = exact_fraction(ratio)
    return max(1, round_(num_tokens * (1 - ratio)))


def check_power(power: float) -> None:
    """Stop if it does not bend a schedule."""
    if power <= 0:
        raise UserError(f'power bends a schedule and cannot be {power}; 1 is '
                        'a straight line, SemMAE uses 2.')


def between(start: float, end: float, progress: float,
            power: float = 1.) -> float:
    """The value at ``progress`` of a schedule; power 1 is a straight line.

    Example:
        >>> between(0., 1., 0.5), between(0., 1., 0.5, power=2.)
        (0.5, 0.25)
    """
    return start + progress**power * (end - start)


def order_to_rank(order: Tensor) -> Tensor:
    """Inverse of the permutations ``order`` (B, L): the rank of each token."""
    positions = torch.arange(order.shape[1], device=order.device)
    return torch.empty_like(order).scatter_(1, order,
                                            positions.expand_as(order))


def hide_top(key: Tensor, num_visible: int | Tensor) -> Tensor:
    """Hide the tokens with the highest keys.

    "Sort ascending and select the top K" of section 3: the K lowest stay,
    equal keys in grid order.

    Args:
        key (Tensor): (B, L).
        num_visible (int or Tensor): K, one for all images or (B,).

    Returns:
        Tensor: Boolean (B, L), True = masked.
    """
    rank = order_to_rank(torch.argsort(key, dim=1, stable=True))
    if isinstance(num_visible, Tensor):
        num_visible = num_visible[:, None]
    return rank >= num_visible


def share_count(count: int | Tensor, share: float) -> Tensor:
    """Whole tokens in a share of ``count`` tokens, int(count * share).

    A millionth is added first: 0.3 of 10 tokens are 3, not the 2 that a
    product of floats just below 3 would give.

    Example:
        >>> share_count(torch.tensor([10, 27]), 0.3).tolist()
        [3, 8]
    """
    return (torch.as_tensor(count).double() * share + 1e-6).floor().long()


def exponential_draws(uniform: Tensor) -> Tensor:
    """Exp(1) draws from draws of U[0, 1), by the inverse distribution."""
    return -torch.log1p(-uniform)


def weighted_order(weight: Tensor, exponential: Tensor) -> Tensor:
    """Order tokens at random, heavier ones earlier, without replacement.

    The order is the descending one of weight / q with q ~ Exp(1). It has the
    law of drawing one token after the other, each with a probability
    proportional to its weight among those left, and is bit-equal to
    ``torch.multinomial`` given its draws. With g = -log q it is the
    Gumbel-top-k trick, but a weight of 0 needs no logarithm here.

    Args:
        weight (Tensor): (B, L). Tokens whose weight is 0 come last, at
            random among themselves; so do those with a weight that is
            negative or not finite.
        exponential (Tensor): q, draws from Exp(1), (B, L).

    Returns:
        Tensor: int64 (B, L), the indices of the tokens in order.

    Example:
        >>> weight = torch.tensor([[0., 1., 3.]])
        >>> weighted_order(weight, torch.tensor([[.1, 1., 2.]])).tolist()
        [[2, 1, 0]]
    """
    # All keys of weightless tokens are below 0 and all others are not, even
    # where a tiny weight makes the quotient underflow.
    key = torch.where((weight > 0) & torch.isfinite(weight),
                      weight / exponential, -exponential)
    return torch.argsort(key, dim=1, descending=True, stable=True)


def top_rank(scores: Tensor, noise: Tensor) -> Tensor:
    """Rank (B, L) of every token, 0 = highest score, equal ones by noise.

    Example:
        >>> top_rank(torch.tensor([[.5, 1., .5]]),
        ...          torch.tensor([[.1, .2, .3]])).tolist()
        [[2, 0, 1]]
    """
    shuffled = torch.argsort(noise, dim=1, descending=True, stable=True)
    order = torch.argsort(
        scores.gather(1, shuffled), dim=1, descending=True, stable=True)
    return order_to_rank(shuffled.gather(1, order))


def pool_cells(values: Tensor, grid: tuple[int, int], cell: int) -> Tensor:
    """Average over squares of ``cell`` x ``cell`` tokens, row by row.

    (B, L, D) on the ``grid`` (h, w) becomes (B, L / cell^2, D).
    """
    height, width = grid
    if height % cell or width % cell:
        raise UserError(
            f'squares of {cell} x {cell} tokens do not tile a grid of '
            f'{height} x {width}; choose an image size that is a multiple of '
            f'{cell} patches, or cell=1.')
    squares = values.unflatten(
        1, (height // cell, cell, width // cell, cell))
    return squares.mean(dim=(2, 4)).flatten(1, 2)


def spread_cells(state: Tensor, grid: tuple[int, int], cell: int) -> Tensor:
    """Give every token (B, L) the value of its square on the ``grid``."""
    squares = state.unflatten(1, grid)
    tokens = squares.repeat_interleave(cell, 1).repeat_interleave(cell, 2)
    return tokens.flatten(1)
