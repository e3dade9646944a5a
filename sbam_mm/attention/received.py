# Copyright (c) OpenMMLab. All rights reserved.
"""How much attention tokens receive, from queries and keys."""
import torch
from torch import Tensor

from sbam_mm.errors import UserError


def which_block(block: int, depth: int) -> int:
    """The number from 0 of a block that is asked for, if there is one."""
    if not -depth <= block < depth:
        raise UserError(
            f'attention of block {block} is asked for, but the encoder has '
            f'blocks 0 to {depth - 1}; change `salience.block`.')
    return block % depth


def check_queries(queries: str | int, has_class_token: bool) -> None:
    """Stop if a class token is asked that is not there."""
    if queries == 'cls' and not has_class_token:
        raise UserError(
            'the attention of the class token is asked for, but the encoder '
            "has none; set `salience.queries='all'`.")


@torch.no_grad()
def received_from(q: Tensor,
                  k: Tensor,
                  queries: str | int = 'cls',
                  softmax: bool = True,
                  own_query: bool = True,
                  bias: Tensor | None = None,
                  extra_tokens: int = 1) -> Tensor:
    """How much attention every token receives, without the attention matrix.

    Only what is asked for is computed: one row for the class token's query;
    for the sum over all queries before the softmax, (sum_i q_i) . k_m, which
    is linear in the number of tokens.

    Args:
        q (Tensor): Queries that are scaled already, (B, N, heads, d).
        k (Tensor): Keys, (B, N, heads, d).
        queries (str or int): "cls", the class token's attention; "patches",
            summed over the queries of the patches; "all", summed over every
            query; or the number of one patch, from 0.
        softmax (bool): Sum probabilities, or logits.
        own_query (bool): Whether a sum over queries has the token's own in it.
        bias (Tensor, optional): Added to the logits, (heads, N, N), or where
            it differs between images (B, heads, N, N).
        extra_tokens (int): Class and distillation tokens before the patches.

    Returns:
        Tensor: float32 (B, heads, N), without gradient.
    """
    with torch.autocast(q.device.type, enabled=False):
        q, k = q.float(), k.float()
        if bias is None:
            bias = q.new_zeros(()).expand(1, q.shape[1], q.shape[1])
        bias = bias.float()
        own = None
        first = extra_tokens if queries == 'patches' else 0
        one = 0 if queries == 'cls' else (
            extra_tokens + queries if isinstance(queries, int) else None)
        if one is None and not own_query:
            own = (q * k).sum(dim=-1).transpose(1, 2)
            own = (own + bias.diagonal(dim1=-2, dim2=-1))[..., first:]
        rows = slice(first, None) if one is None else slice(one, one + 1)
        q, bias = q[:, rows], bias[..., rows, :]
        if one is None and not softmax:
            q, bias = q.sum(1, keepdim=True), bias.sum(-2, keepdim=True)
        logits = torch.einsum('bqhd,bkhd->bhqk', q, k) + bias
        if own is not None:
            # The diagonal, as probabilities or as logits.
            own = (own - logits.logsumexp(dim=-1)).exp() if softmax else own
        received = (logits.softmax(dim=-1) if softmax else logits).sum(dim=2)
        if own is not None:
            received[..., first:] -= own
        return received
