# Copyright (c) OpenMMLab. All rights reserved.
"""Mask relation encoding: attention that knows which tokens share a segment.

Source: Taguchi et al., *SAM Helps SSL*, BMVC 2024, section 3.2.
"""
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbam_mm.errors import UserError
from sbam_mm.layers import PackedLayout, packed_attention
from sbam_mm.models.stored_maps import stored_map
from sbam_mm.registry import MODELS

from .flex import SegmentBlocks, flex_available, flex_segment_attention

RELATIONS = ('positive', 'negative')
SHARINGS = ('fixed', 'shared', 'head', 'head_and_layer')
KERNELS = ('sdpa', 'flex')


class Segments:
    """Segment ids of a batch, as the layers of one pass want them.

    Args:
        ids (Tensor): uint8 or int64 (B, L): 0 = unknown, segments from 1.
        count (int): The highest id there may be, the paper's c. Higher ones
            are unknown.

    Attributes:
        ids (Tensor): int64 (B, 1 + L). The class token comes first, unknown.
    """

    def __init__(self, ids: Tensor, count: int):
        ids = ids.long()
        self.ids = F.pad(ids.where(ids <= count, 0), (1, 0))
        self.count = count
        self._layout: PackedLayout | None = None
        self._packed: Tensor | None = None
        self._marks: Tensor | None = None
        self._blocks: SegmentBlocks | None = None

    def packed(self, layout: PackedLayout) -> Tensor:
        """Ids of the kept tokens, int64 (T,)."""
        # All layers of a pass have one layout.
        if self._layout is not layout or self._packed is None:
            self._layout = layout
            self._packed = layout.pack(self.ids[..., None])[:, 0]
            self._marks = self._blocks = None
        return self._packed

    def marks(self, layout: PackedLayout) -> Tensor:
        """One-hot ids and whether there is one: boolean (T, c + 1).

        The inner product of two rows counts 1 for the same segment and 1 for
        both known.
        """
        ids = self.packed(layout)
        if self._marks is None:
            numbers = torch.arange(1, self.count + 1, device=ids.device)
            self._marks = torch.cat(
                [ids[:, None] == numbers, ids[:, None] > 0], dim=1)
        return self._marks

    def blocks(self, layout: PackedLayout) -> SegmentBlocks:
        """What FlexAttention wants to know of the layout."""
        ids = self.packed(layout)
        if self._blocks is None:
            self._blocks = SegmentBlocks(ids, layout)
        return self._blocks


class SegmentRelation:
    """How one layer attends, given segments.

    Softmax of ``(q k^T + b) / sqrt(d)`` (Eq. 5), where b is u_pos for two
    tokens of the same segment, u_neg for two of different segments, and 0
    where one is unknown (Eq. 4).

    b is an inner product, too: of a query's channels ``(u_pos - u_neg) *
    onehot(id), u_neg * known`` and a key's ``onehot(id), known``. With these
    c + 1 channels beside the others every fused kernel computes it, flash
    attention and the variable-length one included, and hands gradients to
    u_pos and u_neg. (A bias as ``attn_mask`` that wants a gradient leaves
    ``scaled_dot_product_attention`` only its unfused path.)

    Args:
        u_pos, u_neg (Tensor): (heads,).
        flex (bool): Run FlexAttention with b as modification of the scores
            instead.
    """

    def __init__(self, segments: Segments, u_pos: Tensor, u_neg: Tensor,
                 flex: bool):
        self.segments = segments
        self.u_pos = u_pos
        self.u_neg = u_neg
        self.flex = flex

    def __call__(self,
                 q: Tensor,
                 k: Tensor,
                 v: Tensor,
                 layout: PackedLayout,
                 dropout: float = 0.) -> Tensor:
        """Attend within images: three of (T, heads, d) -> (T, heads, d)."""
        if self.flex:
            if dropout:
                raise UserError(
                    "kernel='flex' drops no attention; set "
                    "segment_bias.kernel='sdpa', or attn_drop_rate=0.")
            return flex_segment_attention(q, k, v, self.u_pos, self.u_neg,
                                          self.segments.blocks(layout))
        marks = self.segments.marks(layout)[:, None].to(q.dtype)
        u_pos, u_neg = self.u_pos[:, None], self.u_neg[:, None]
        same = (u_pos - u_neg).expand(-1, marks.shape[2] - 1)
        weights = torch.cat([same, u_neg], dim=1).to(q.dtype)
        channels = q.shape[2]
        width = channels + marks.shape[2]
        # Kernels want a multiple of 8 channels, and as many of the values.
        spare = -width % 8
        # They divide by the root of all channels.
        scale = ((width + spare) / channels)**0.5
        q = F.pad(torch.cat([q, marks * weights], dim=2) * scale, (0, spare))
        k = torch.cat([k, marks.expand(-1, k.shape[1], -1)], dim=2)
        k = F.pad(k, (0, spare))
        v = F.pad(v, (0, width + spare - channels))
        return packed_attention(q, k, v, layout, dropout)[..., :channels]

    def matrix(self,
               layout: PackedLayout | None = None,
               rows: slice | None = None,
               group: tuple[int, int] = (0, 0)) -> Tensor:
        """Eq. 4, not divided by anything: float32 (B, heads, n, n).

        ``rows`` and ``group`` say which of the packed tokens, see
        :meth:`PackedLayout.slices`; without a layout it is of all tokens,
        class token first.
        """
        ids = self.segments.ids if layout is None else self.segments.packed(
            layout)[rows].view(group)
        first, second = ids[:, None, :, None], ids[:, None, None, :]
        u_pos, u_neg = (u[:, None, None] for u in (self.u_pos, self.u_neg))
        related = torch.where(first == second, u_pos, u_neg)
        return torch.where((first > 0) & (second > 0), related, 0.)


@MODELS.register_module()
class SegmentBias(nn.Module):
    """The parameters u_pos and u_neg of all layers and heads.

    The guide of an encoder, see :mod:`sbam_mm.models.guidance`. How they
    start is not said in the paper. At 0, the default, the first step is that
    of a model without them.

    Args:
        sharing (str): Table 5: "fixed" (+1 and -1, no parameters), "shared"
            (one pair), "head" (a pair per head, the same in all layers) or
            "head_and_layer".
        relations (Sequence[str]): Table 4: which pairs of tokens get a bias,
            "positive" (same segment), "negative" (different segments).
        init (tuple[float, float]): u_pos and u_neg at the start; "fixed" stays
            at (1, -1).
        max_segments (int): The highest segment id, the paper's c.
        kernel (str): "sdpa", the fused kernels of
            ``scaled_dot_product_attention``, on any device; "flex",
            FlexAttention, on CUDA only.

    Example:
        >>> bias = SegmentBias(num_layers=12, num_heads=3, init=(.5, -.5))
        >>> relations = bias(torch.tensor([[1, 1, 2, 0]]))
        >>> len(relations), relations[0].matrix()[0, 0].tolist()[1]
        (12, [0.0, 0.5, 0.5, -0.5, 0.0])
        >>> sum(p.numel() for p in bias.parameters())
        72
    """

    # A bias, of however many dimensions.
    no_weight_decay = ('u_pos', 'u_neg')
    needs = 'segment_map'
    who = "the encoder's segment bias"

    def __init__(self,
                 num_layers: int,
                 num_heads: int,
                 sharing: str = 'head_and_layer',
                 relations: Sequence[str] = RELATIONS,
                 init: tuple[float, float] = (0., 0.),
                 max_segments: int = 5,
                 kernel: str = 'sdpa'):
        super().__init__()
        if sharing not in SHARINGS or kernel not in KERNELS:
            raise UserError(
                f'sharing={sharing!r}, kernel={kernel!r} are no options of '
                f'segment_bias; choose one of {", ".join(SHARINGS)} and of '
                f'{", ".join(KERNELS)}.')
        if (isinstance(relations, str) or not relations
                or set(relations) - set(RELATIONS)):
            raise UserError(
                f'relations={relations!r} are not those of segments; give a '
                f'list of one or both of {", ".join(RELATIONS)}.')
        if not _is_pair(init):
            raise UserError(
                f'init={init!r} does not say where u_pos and u_neg start; '
                'give segment_bias.init two numbers, such as (0., 0.).')
        if not isinstance(max_segments, int) or max_segments < 1:
            raise UserError(
                f'max_segments={max_segments!r} leaves no segments; give '
                "segment_bias.max_segments the paper's 5, or the --max-masks "
                'of the maps.')
        if kernel == 'flex' and not flex_available():
            raise UserError(
                "kernel='flex' wants CUDA and torch 2.6 or newer; set "
                "segment_bias.kernel='sdpa'.")
        shape = dict(
            head=(1, num_heads), head_and_layer=(num_layers, num_heads)).get(
                sharing, (1, 1))
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.max_segments = max_segments
        self.kernel = kernel
        start = (1., -1.) if sharing == 'fixed' else init
        for name, relation, value in zip(('u_pos', 'u_neg'), RELATIONS, start):
            used = relation in relations
            u = torch.full(shape, float(value) if used else 0.)
            if used and sharing != 'fixed':
                self.register_parameter(name, nn.Parameter(u))
            else:
                self.register_buffer(name, u, persistent=False)

    @classmethod
    def of(cls, vit: nn.Module, options: Mapping[str, Any]) -> 'SegmentBias':
        """From the ``segment_bias`` options of an encoder's config."""
        known = list(signature(cls).parameters)[2:]
        if not isinstance(options, Mapping) or set(options) - set(known):
            raise UserError(
                f'segment_bias={options!r} is not understood; give a dict of '
                f'some of {", ".join(known)}, or dict() for the defaults.')
        attns = [layer.attn for layer in vit.layers]
        bias = cls(len(attns), attns[0].num_heads, **options)
        if bias.kernel == 'flex' and any(attn.attn_drop for attn in attns):
            raise UserError(
                "segment_bias.kernel='flex' drops no attention; set "
                "segment_bias.kernel='sdpa', or attn_drop_rate=0 in "
                'layer_cfgs.')
        return bias

    def kernels(self,
                grid: tuple[int, int],
                inputs: Tensor,
                data_samples: list | None,
                views: Sequence[int] | None = None
                ) -> list['SegmentRelation'] | None:
        """As ``Guide`` says; None as long as the pipeline has no segments."""
        found = [
            stored_map(
                data_samples,
                self.needs,
                grid,
                inputs.device,
                'LoadSegments',
                who=self.who,
                view=view,
                highest=self.max_segments)
            for view in ([None] if views is None else views)
        ]
        maps = [ids for ids in found if ids is not None]
        return self(torch.cat(maps)) if maps else None

    def forward(self, ids: Tensor) -> list[SegmentRelation]:
        """How each layer attends to tokens of segments (B, L)."""
        segments = Segments(ids, self.max_segments)
        shape = (self.num_layers, self.num_heads)
        return [
            SegmentRelation(segments, u_pos, u_neg, self.kernel == 'flex')
            for u_pos, u_neg in zip(self.u_pos.expand(shape),
                                    self.u_neg.expand(shape))
        ]


def _is_pair(init: Any) -> bool:
    return isinstance(init, (list, tuple)) and len(init) == 2 and all(
        isinstance(value, (int, float)) for value in init)


def relations_to(vit: nn.Module, segments: Tensor) -> list[SegmentRelation]:
    """How each layer of an encoder attends to segments (B, L), 0 = unknown."""
    bias = getattr(vit, 'segment_bias', None)
    if bias is None:
        raise UserError(
            f'segments are given to a {type(vit).__name__} without segment '
            "bias; take backbone.type='sbam_mm.MaskedViT' and set "
            'backbone.segment_bias=dict().')
    return bias(segments)
