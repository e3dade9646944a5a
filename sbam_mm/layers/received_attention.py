# Copyright (c) OpenMMLab. All rights reserved.
"""How much attention tokens receive, as salience for maskers."""
import torch
from torch import Tensor, nn

from sbam_mm.attention import received_from

from .attention import Attention


@torch.no_grad()
def received_attention(attn: nn.Module,
                       x: Tensor,
                       queries: str | int = 'cls',
                       softmax: bool = True,
                       own_query: bool = True,
                       bias: Tensor | None = None,
                       extra_tokens: int = 1) -> Tensor:
    """How much attention every token receives in a layer.

    Recomputed from q and k, so the layer itself keeps its fused attention.

    Args:
        attn (nn.Module): :class:`Attention`, or mmpretrain's layer.
        x (Tensor): Its normalised input, (B, N, D), class token first.
        queries, softmax, own_query, bias, extra_tokens: As of
            :func:`received_from`, like what is returned.
    """
    with torch.autocast(x.device.type, enabled=False):
        q, k, _ = Attention(attn).project(x.float())
    return received_from(q * q.shape[-1]**-0.5, k, queries, softmax, own_query,
                         bias, extra_tokens)
