# Copyright (c) OpenMMLab. All rights reserved.
"""Salience of float32 tokens by products of bfloat16, as a GPU is fast at.

A number is the sum of two of bfloat16, x = high + low, up to 2^-17 of it. So
x xᵀ is high highᵀ + high lowᵀ + low highᵀ up to low lowᵀ, 2^-16 of it: three
products whose factors are exact in float32, where they are added up.
"""
import torch
from mmengine.utils import digit_version
from torch import Tensor
from torch.nn.functional import normalize as to_length_one

from sbam_mm.run_switches import is_exact

from .functional import outgoing_weight

# Products of bfloat16 that are not rounded to it, on CUDA, exist since then.
FLOAT32_PRODUCTS = digit_version(torch.__version__) >= digit_version('2.8')
# Tokens at a time, 32 images of 196: they and their halves fit the cache of
# a large GPU, so that only the tokens come from its memory. Logits likewise.
TOKENS, LOGITS = 32 * 196, 2**21


def runs_by_halves(tokens: Tensor) -> bool:
    """Whether salience is computed this way: on CUDA under autocast."""
    return (FLOAT32_PRODUCTS and tokens.is_cuda
            and torch.is_autocast_enabled('cuda')
            and torch.cuda.get_device_capability(tokens.device) >= (8, 0)
            and not is_exact())


@torch.no_grad()
def outgoing_weight_by_halves(tokens: Tensor,
                              scale: float | None = None,
                              normalize: bool = False,
                              images: int | None = None) -> Tensor:
    """``outgoing_weight`` of ``affinity``, never holding all logits.

    Args:
        tokens (Tensor): (B, L, D). On a CPU the halves are multiplied in
            float32, which gives the same numbers.
        scale, normalize: As of ``affinity``.
        images (int, optional): At a time. Defaults to None: with about 6000
            tokens.

    Returns:
        Tensor: float32 (B, L). For photographs the salience differs by less
        than 1e-3 from the plain one.

    Example:
        >>> from sbam_mm.masking.functional import affinity
        >>> x = torch.arange(96.).sin().view(2, 16, 3)
        >>> torch.allclose(outgoing_weight_by_halves(x),
        ...                outgoing_weight(affinity(x)), rtol=1e-4)
        True
    """
    length = tokens.shape[1]
    images = min(images or max(1, TOKENS // length), len(tokens))
    rows = max(1, LOGITS // (images * length))
    with torch.autocast(tokens.device.type, enabled=False):
        weights = []
        for x in tokens.float().split(images):
            keys = halves(to_length_one(x, dim=-1) if normalize else x)
            weights.append(sum(
                outgoing_weight(product(queries, keys, scale))
                for queries in keys.split(rows, dim=2)))
        return torch.cat(weights)


def halves(x: Tensor) -> Tensor:
    """High and low half of float32 numbers: bfloat16, (2, *x.shape)."""
    both = x.new_empty((2, *x.shape), dtype=torch.bfloat16)
    both[0] = x
    torch.sub(x, both[0], out=both[1])
    return both


def product(queries: Tensor, keys: Tensor, scale: float | None = None
            ) -> Tensor:
    """Queries times keys, float32 (B, n, L), from their halves."""
    (high, low), (keys_high, keys_low) = queries, keys
    out = high.new_empty((*high.shape[:2], keys.shape[2]),
                         dtype=torch.float32)
    alpha = 1. if scale is None else scale
    # Small numbers first, and every product on top of those before.
    for beta, a, b in ((0, high, keys_low), (1, low, keys_high),
                       (1, high, keys_high)):
        if a.is_cuda:
            torch.baddbmm(out, a, b.mT, torch.float32, beta=beta, alpha=alpha,
                          out=out)
        else:
            torch.baddbmm(out, a.float(), b.mT.float(), beta=beta,
                          alpha=alpha, out=out)
    return out
