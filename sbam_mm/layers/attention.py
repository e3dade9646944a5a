# Copyright (c) OpenMMLab. All rights reserved.
"""mmpretrain's transformer layers, run on dense or packed sequences.

The parameters, their names and their initialisation stay mmpretrain's; only
the way attention is carried out is chosen here, in one place.
"""
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.run_switches import is_exact

from .checkpointing import recomputable
from .packing import PackedLayout

try:
    # Public since torch 2.10. Only the first seven arguments, by position:
    # the others were renamed between releases.
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None  # type: ignore[assignment]

# What a layer does with packed queries, keys and values, (T, heads, d) each,
# where they stand, and a probability of dropout.
Attend = Callable[[Tensor, Tensor, Tensor, PackedLayout, float], Tensor]


def attention_dropout(attn: nn.Module) -> float:
    """With which probability a layer drops attention now.

    Args:
        attn (nn.Module): mmpretrain's attention layer, whose ``attn_drop`` is
            a number or, in BEiT and CAE, a module.

    Returns:
        float: 0 in evaluation.
    """
    drop = attn.attn_drop
    if isinstance(drop, nn.Dropout):
        return drop.p if drop.training else 0.
    return float(drop) if attn.training else 0.


def check_paths(layer: nn.Module, x: Tensor) -> None:
    """Stop where stochastic depth would drop tokens instead of images.

    Args:
        layer (nn.Module): mmpretrain's transformer layer.
        x (Tensor): Its input: (T, D) is a packed sequence.

    Raises:
        UserError: If the layer drops paths of a packed sequence.
    """
    if layer.training and x.dim() == 2 and any(
            path.drop_prob > 0 for path in layer.modules()
            if isinstance(path, DropPath)):
        raise UserError(
            'stochastic depth would drop single tokens of a sequence of '
            'images that keep different numbers of them; set '
            'backbone.drop_path_rate=0, or take a masker with one ratio for '
            'all images.')


def runs_varlen(q: Tensor) -> bool:
    """Whether the variable-length kernel is there for these queries.

    It is flash attention, which wants an Ampere GPU or a newer one, and 8 to
    256 channels per head in steps of 8.
    """
    return (varlen_attn is not None and q.is_cuda
            and q.dtype in (torch.float16, torch.bfloat16)
            and q.shape[-1] % 8 == 0 and q.shape[-1] <= 256
            and torch.cuda.get_device_capability(q.device) >= (8, 0)
            and not is_exact())


def packed_attention(q: Tensor,
                     k: Tensor,
                     v: Tensor,
                     layout: PackedLayout,
                     dropout: float = 0.) -> Tensor:
    """Attention of every token with the tokens of its own image.

    On CUDA in half precision one variable-length flash kernel does it;
    elsewhere every group of equally long images is one dense call of
    ``scaled_dot_product_attention``. Both are exact: nothing is padded.

    Args:
        q, k, v (Tensor): (T, heads, head_dim).
        layout (PackedLayout): Where images begin and end.
        dropout (float): Of the probabilities; the flash kernel has none, so
            with it the dense calls are made. Defaults to 0.

    Returns:
        Tensor: (T, heads, head_dim).
    """
    if not dropout and runs_varlen(q):
        ends, longest = layout.cu_seqlens, layout.max_length
        out = varlen_attn(q, k, v, ends, ends, longest, longest)
        assert isinstance(out, Tensor)  # a tuple only if asked for
        return out
    return grouped_attention(q, k, v, layout, dropout=dropout)


def grouped_attention(q: Tensor,
                      k: Tensor,
                      v: Tensor,
                      layout: PackedLayout,
                      bias: Tensor | None = None,
                      dropout: float = 0.) -> Tensor:
    """The exact fallback: one dense call for each length that occurs.

    Args:
        q, k, v (Tensor): (T, heads, head_dim).
        layout (PackedLayout): Where images begin and end.
        bias (Tensor, optional): Added to the logits, (heads, N, N) over the
            tokens of a whole image. Defaults to None.
        dropout (float): Of the probabilities. Defaults to 0.

    Returns:
        Tensor: (T, heads, head_dim).
    """
    places = layout.index % layout.shape[1]
    outs = []
    for rows, group in layout.slices():
        query, key, value = (
            t[rows].unflatten(0, group).transpose(1, 2) for t in (q, k, v))
        added = None
        if bias is not None:
            added = bias[None] if layout.full else bias_of_pairs(
                bias, places[rows].view(group))
        out = F.scaled_dot_product_attention(query, key, value, added,
                                             dropout)
        outs.append(out.transpose(1, 2).flatten(0, 1))
    return torch.cat(outs)


def bias_of_pairs(bias: Tensor, places: Tensor) -> Tensor:
    """A bias between the tokens that an image kept.

    Args:
        bias (Tensor): (heads, N, N).
        places (Tensor): Which of the N tokens, int64 (B, n).

    Returns:
        Tensor: (B, heads, n, n).
    """
    pairs = bias[:, places[:, :, None], places[:, None, :]]
    return pairs.transpose(0, 1)


def project_qkv(attn: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values of an mmpretrain attention layer.

    Args:
        attn (MultiheadAttention or BEiTAttention): The layer; BEiT's has a
            bias for queries and values only.
        x (Tensor): (..., D). The weights are used in its type.

    Returns:
        tuple[Tensor]: Three of (..., heads, head_dim). Queries carry what a
        ``qk_scale`` of the layer differs from 1 / sqrt(head_dim).
    """
    bias = attn.qkv.bias
    if getattr(attn, 'q_bias', None) is not None:
        bias = torch.cat(
            [attn.q_bias, torch.zeros_like(attn.q_bias), attn.v_bias])
    qkv = F.linear(x, attn.qkv.weight.to(x.dtype),
                   None if bias is None else bias.to(x.dtype))
    q, k, v = qkv.unflatten(-1, (3, attn.num_heads, -1)).unbind(-3)
    usual = q.shape[-1]**-0.5
    scale = getattr(attn, 'scale', usual)
    return (q if scale == usual else q * (scale / usual)), k, v


def self_attention(attn: nn.Module,
                   x: Tensor,
                   layout: PackedLayout,
                   attend: Attend = packed_attention) -> Tensor:
    """Run an mmpretrain ``MultiheadAttention`` on tokens of a layout.

    Args:
        attn (MultiheadAttention): The layer with the parameters.
        x (Tensor): (T, D) packed, or where images have equal lengths n also
            (B, n, D).
        layout (PackedLayout): Their layout.
        attend (Callable): The kernel. Defaults to :func:`packed_attention`.
    """
    q, k, v = attn.qkv(x.flatten(0, -2)).unflatten(
        -1, (3, attn.num_heads, attn.head_dims)).unbind(1)
    attended = attend(q, k, v, layout, attention_dropout(attn))
    out = attn.proj(attended.flatten(1)).view(x.shape)
    return attn.out_drop(attn.gamma1(attn.proj_drop(out)))


@torch.no_grad()
def received_attention(attn: nn.Module,
                       x: Tensor,
                       queries: str = 'cls',
                       softmax: bool = True,
                       own_query: bool = True,
                       bias: Tensor | None = None,
                       extra_tokens: int = 1) -> Tensor:
    """How much attention every token receives, without the attention matrix.

    Recomputed from q and k, so the layer itself keeps its fused attention.
    Only what is asked for is computed: one row for the class token's query;
    for the sum over all queries before the softmax, (sum_i q_i) . k_m, which
    is linear in the number of tokens.

    Args:
        attn (MultiheadAttention or BEiTAttention): mmpretrain's layer.
        x (Tensor): Its normalised input, (B, N, D), class token first.
        queries (str): "cls", the class token's attention; "patches", summed
            over the queries of the patches; or "all", summed over every
            query. Defaults to "cls".
        softmax (bool): Sum probabilities, or logits. Defaults to True.
        own_query (bool): Whether a sum over queries has the token's own in
            it. Defaults to True.
        bias (Tensor, optional): Added to the logits, (heads, N, N), or where
            it differs between images (B, heads, N, N). Defaults to None.
        extra_tokens (int): Class and distillation tokens, which come before
            the patches. Defaults to 1.

    Returns:
        Tensor: float32 (B, heads, N), without gradient.
    """
    with torch.autocast(x.device.type, enabled=False):
        q, k, _ = project_qkv(attn, x.float())
        q = q * q.shape[-1]**-0.5
        if bias is None:
            bias = q.new_zeros(()).expand(1, q.shape[1], q.shape[1])
        bias = bias.float()
        own = None
        first = extra_tokens if queries == 'patches' else 0
        if queries != 'cls' and not own_query:
            own = (q * k).sum(dim=-1).transpose(1, 2)
            own = (own + bias.diagonal(dim1=-2, dim2=-1))[..., first:]
        if queries == 'cls':
            q, bias = q[:, :1], bias[..., :1, :]
        else:
            q, bias = q[:, first:], bias[..., first:, :]
        if queries != 'cls' and not softmax:
            q, bias = q.sum(1, keepdim=True), bias.sum(-2, keepdim=True)
        logits = torch.einsum('bqhd,bkhd->bhqk', q, k) + bias
        if own is not None:
            # The diagonal, as probabilities or as logits.
            own = (own - logits.logsumexp(dim=-1)).exp() if softmax else own
        received = (logits.softmax(dim=-1) if softmax else logits).sum(dim=2)
        if own is not None:
            received[..., first:] -= own
        return received


def transformer_block(layer: nn.Module,
                      x: Tensor,
                      layout: PackedLayout | None = None,
                      attend: Attend = packed_attention) -> Tensor:
    """Run an mmpretrain ``TransformerEncoderLayer``.

    Args:
        layer (TransformerEncoderLayer): The layer with the parameters.
        x (Tensor): (B, N, D) dense, or (T, D) packed.
        layout (PackedLayout, optional): For packed tokens, and where
            ``attend`` is given. Defaults to None.
        attend (Callable): The attention kernel. Defaults to
            :func:`packed_attention`.

    Returns:
        Tensor: Of the shape of ``x``.
    """
    if layout is None:
        return layer(x)
    return _packed_block(layer, x, layout, attend)


@recomputable
def _packed_block(layer: nn.Module, x: Tensor, layout: PackedLayout,
                  attend: Attend) -> Tensor:
    check_paths(layer, x)
    x = x + self_attention(layer.attn, layer.ln1(x), layout, attend)
    return layer.ffn(layer.ln2(x), identity=x)


@recomputable
def relative_block(layer: nn.Module, packed: Tensor, layout: PackedLayout,
                   bias: Tensor) -> Tensor:
    """Run mmpretrain's ``BEiTTransformerEncoderLayer`` with fused attention.

    Its own forward pass builds the attention matrix.

    Args:
        layer (BEiTTransformerEncoderLayer): The layer with the parameters,
            layer scale included.
        packed (Tensor): (T, D).
        layout (PackedLayout): Their layout.
        bias (Tensor): Of relative positions, (heads, N, N).

    Returns:
        Tensor: (T, D).
    """

    def add(x: Tensor, branch: Tensor, gamma: Tensor | None) -> Tensor:
        if gamma is not None:
            branch = gamma * branch
        return x + layer.drop_path(branch)

    # Stochastic depth drops whole images.
    x = packed
    if layout.uniform:
        x = packed.view(layout.batch_size, -1, packed.shape[-1])
    check_paths(layer, x)
    q, k, v = project_qkv(layer.attn, layer.ln1(x).view(packed.shape))
    attended = grouped_attention(q, k, v, layout, bias.to(q.dtype),
                                 attention_dropout(layer.attn))
    attended = layer.attn.proj_drop(layer.attn.proj(attended.flatten(1)))
    x = add(x, attended.view(x.shape), layer.gamma_1)
    return add(x, layer.ffn(layer.ln2(x)), layer.gamma_2).view(packed.shape)


def run_blocks(layers: nn.ModuleList,
               packed: Tensor,
               layout: PackedLayout,
               bias: Tensor | None = None,
               attend: Sequence[Attend] | None = None) -> Tensor:
    """Run transformer layers on packed tokens, dense when they allow it.

    Images of equal length are a dense batch already: a view, no copy.

    Args:
        layers (nn.ModuleList): mmpretrain ``TransformerEncoderLayer``s; with
            a bias ``BEiTTransformerEncoderLayer``s.
        packed (Tensor): (T, D).
        layout (PackedLayout): Their layout.
        bias (Tensor, optional): Of relative positions, shared by all layers,
            (heads, N, N). Defaults to None.
        attend (Sequence[Callable], optional): The attention kernel of each
            layer, e.g. :class:`SegmentRelation`. Defaults to None: the plain
            ones.

    Returns:
        Tensor: (T, D).
    """
    if bias is not None:
        for layer in layers:
            packed = relative_block(layer, packed, layout, bias)
        return packed
    x = packed
    if layout.uniform:
        x = packed.view(layout.batch_size, -1, packed.shape[-1])
    if attend is not None:
        for layer, kernel in zip(layers, attend):
            x = transformer_block(layer, x, layout, kernel)
    else:
        for layer in layers:
            x = transformer_block(layer, x, None if layout.uniform else layout)
    return x.view(packed.shape)
