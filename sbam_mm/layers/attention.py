# Copyright (c) OpenMMLab. All rights reserved.
"""Attention of tokens to each other, or to a memory, dense or packed."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor, nn

from sbam_mm.packed import (
    Attend,
    PackedLayout,
    Spans,
    attend_spans,
    packed_attention,
    runs_varlen,
)


def share_parts(target: nn.Module, source: nn.Module) -> None:
    """Give a module all parameters and parts of another, in their order."""
    target._parameters.update(source._parameters)
    target._buffers.update(source._buffers)
    target._non_persistent_buffers_set |= source._non_persistent_buffers_set
    target._modules.update(source._modules)


class Attention(BaseModule):
    """Attention of tokens to each other, or to a memory.

    Args:
        attn (nn.Module): mmpretrain's ``MultiheadAttention``,
            ``BEiTAttention`` or ``CrossMultiheadAttention``; its parts are
            taken over.
    """

    def __init__(self, attn: nn.Module):
        super().__init__(attn.init_cfg)
        share_parts(self, attn)
        self._modules.pop('out_drop', None)  # stochastic depth, see Block
        if not hasattr(self, 'gamma1'):
            self.gamma1 = nn.Identity()
        self.num_heads = attn.num_heads
        self.embed_dims = self.proj.in_features
        self.head_dims = self.embed_dims // self.num_heads
        # A number, or in BEiT and CAE a module.
        self.attn_drop = attn.attn_drop
        # BEiT may have another; the kernels divide by the usual one.
        self.scale = getattr(attn, 'scale', self.head_dims**-0.5)

    def init_weights(self) -> None:
        super().init_weights()
        table = getattr(self, 'relative_position_bias_table', None)
        if table is not None:
            trunc_normal_(table, std=.02)

    @property
    def dropout(self) -> float:
        """Probability with which attention is dropped now."""
        drop = self.attn_drop
        if isinstance(drop, nn.Dropout):
            return drop.p if drop.training else 0.
        return float(drop) if self.training else 0.

    def project(self,
                x: Tensor,
                memory: Tensor | tuple[Tensor, Tensor] | None = None
                ) -> tuple[Tensor, ...]:
        """Queries, keys and values, three of (..., heads, head_dim).

        Args:
            x (Tensor): (..., D), normalised.
            memory (Tensor or tuple[Tensor], optional): What keys and values
                come from, (..., D); a tuple where these differ. Defaults to
                None: ``x``.
        """
        q_bias = getattr(self, 'q_bias', None)
        for_k, for_v = memory if isinstance(memory, tuple) else (
            memory, memory)
        parts: Sequence[Tensor]
        if not hasattr(self, 'qkv'):
            assert for_k is not None and for_v is not None
            parts = (linear(x, self.q.weight,
                            self.q.bias if q_bias is None else q_bias),
                     linear(for_k, self.k.weight, self.k.bias),
                     linear(for_v, self.v.weight,
                            self.v.bias if q_bias is None else self.v_bias))
        else:
            dim, weight, bias = self.embed_dims, self.qkv.weight, self.qkv.bias
            if q_bias is not None:
                # A bias of the keys would drop out of the softmax.
                bias = torch.cat(
                    [q_bias, torch.zeros_like(q_bias), self.v_bias])
            if for_k is None:
                parts = linear(x, weight, bias).chunk(3, dim=-1)
            else:
                own, others = (None, None) if bias is None else (
                    bias[:dim], bias[dim:])
                parts = (linear(x, weight[:dim], own),
                         *linear(for_k, weight[dim:], others).chunk(2, -1))
        q, k, v = (y.unflatten(-1, (self.num_heads, -1)) for y in parts)
        usual = self.head_dims**-0.5
        return (q if self.scale == usual else q * (self.scale / usual)), k, v

    def forward(self,
                x: Tensor,
                bias: Tensor | None = None,
                layout: PackedLayout | Spans | None = None,
                attend: Attend | None = None,
                memory: Tensor | tuple[Tensor, Tensor] | None = None,
                keys: PackedLayout | Spans | None = None) -> Tensor:
        """Attend; see :meth:`Block.forward`, whose norms are done here."""
        q, k, v = self.project(x, memory)
        bias = self.with_own_positions(bias)
        if layout is None:
            q, k, v = (y.transpose(1, 2) for y in (q, k, v))
            mixed = F.scaled_dot_product_attention(
                q, k, v, None if bias is None else bias[None].to(q.dtype),
                self.dropout).transpose(1, 2)
        else:
            q, k, v = (y.flatten(0, -3) for y in (q, k, v))
            if isinstance(layout, Spans):
                assert keys is None or isinstance(keys, Spans)
                mixed = attend_spans(q, k, v, layout, keys or layout)
            elif attend is not None:
                mixed = attend(q, k, v, layout, self.dropout)
            else:
                assert not isinstance(keys, Spans)
                mixed = packed_attention(
                    q, k, v, layout, self.dropout, keys,
                    None if bias is None else bias.to(q.dtype))
        out = self.proj(mixed.flatten(-2)).view(x.shape)
        return self.gamma1(self.proj_drop(out))

    def runs_varlen(self, x: Tensor) -> bool:
        """Whether packed tokens, (T, D), attend by one kernel."""
        return (not self.dropout
                and not hasattr(self, 'relative_position_bias_table')
                and runs_varlen(x, self.head_dims))

    def with_own_positions(self, bias: Tensor | None) -> Tensor | None:
        """Add the layer's own bias, of BEiT's relative positions, if any."""
        table = getattr(self, 'relative_position_bias_table', None)
        if table is None:
            return bias
        own = table[self.relative_position_index].permute(2, 0, 1)
        return own if bias is None else own + bias


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear`` in the type of ``x``."""
    return F.linear(x, weight.to(x.dtype),
                    None if bias is None else bias.to(x.dtype))


class CrossAttention(Attention):
    """Attention to a memory that may be wider than the tokens."""

    def __init__(self, dim: int, memory_dim: int, num_heads: int):
        BaseModule.__init__(self)
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim)
        # A bias of the keys would drop out of the softmax.
        self.k = nn.Linear(memory_dim, dim, bias=False)
        self.v = nn.Linear(memory_dim, dim)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = self.gamma1 = nn.Identity()
        self.embed_dims, self.head_dims = dim, dim // num_heads
        self.attn_drop = 0.
        self.scale = self.head_dims**-0.5
