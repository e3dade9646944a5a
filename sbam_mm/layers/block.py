# Copyright (c) OpenMMLab. All rights reserved.
"""The transformer block of every encoder and decoder here.

It takes over the parts of one of mmpretrain's layers, with their names and
initialisation, and runs them on dense batches and on packed sequences.
"""
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.models.backbones.vision_transformer import (
    TransformerEncoderLayer,
)
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sbam_mm.errors import UserError
from sbam_mm.packed import (
    Attend,
    PackedLayout,
    Spans,
    check_order,
)

from .attention import Attention, share_parts


class Checkpointed(BaseModule):
    """A block that with :attr:`with_cp` keeps its input alone.

    The backward pass then computes the rest again, random numbers included: a
    third more work (Chen et al., *Training Deep Nets with Sublinear Memory
    Cost*, 2016).
    """
    with_cp = False

    def forward(self, *args: Any) -> Tensor:
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(self.run, *args, use_reentrant=False)
        return self.run(*args)

    @abstractmethod
    def run(self, *args: Any) -> Tensor:
        """What the block computes."""


class Block(Checkpointed):
    """One of mmpretrain's ``TransformerEncoderLayer``s, or BEiT's, as a block.

    It takes over the parts of the layer, which still works itself.

    Example:
        >>> from mmpretrain.models.backbones.vision_transformer import (
        ...     TransformerEncoderLayer)
        >>> layer = TransformerEncoderLayer(8, 2, 16)
        >>> block, x = Block(layer), torch.randn(2, 5, 8)
        >>> torch.allclose(block(x), layer(x), atol=1e-6)
        True
        >>> layout = PackedLayout(torch.rand(2, 5) < 0.5)
        >>> block(layout.pack(x), None, layout).shape == layout.pack(x).shape
        True
    """

    # See :func:`sbam_mm.layers.residual.set_residual_dtype`.
    residual_dtype = 'float32'

    def __init__(self, layer: nn.Module):
        super().__init__(layer.init_cfg)
        for name in ('gamma_1', 'gamma_2'):  # BEiT's layer scale
            self.register_parameter(name, None)
        share_parts(self, layer)
        self.attn = Attention(layer.attn)
        if not hasattr(self, 'drop_path'):
            self.drop_path = layer.attn.out_drop

    def init_weights(self) -> None:
        super().init_weights()
        for part in self.ffn.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.normal_(part.bias, std=1e-6)

    def packed(self,
               x: Tensor,
               bias: Tensor | None,
               layout: PackedLayout,
               attend: Attend | None,
               memory: Tensor | None,
               keys: PackedLayout | None) -> Tensor:
        """:meth:`run` with a layout, whose lengths change at every step.

        Where one kernel attends, they are in tensors alone, and what is
        compiled fits them all. Elsewhere attention is a loop over lengths,
        and no more than the feed-forward network is compiled.
        """
        if (bias is not None or attend is not None
                or not self.attn.runs_varlen(x)):
            return self.forward(x, bias, layout, attend, memory, keys)
        check_order(layout, keys or layout)
        if self._compiled_call_impl is not None:
            for tokens in (x, memory):
                if tokens is not None:
                    torch._dynamo.maybe_mark_dynamic(tokens, 0)
        return self(x, None, layout.spans, None, memory, keys and keys.spans)

    def run(self,
            x: Tensor,
            bias: Tensor | None = None,
            layout: PackedLayout | Spans | None = None,
            attend: Attend | None = None,
            memory: Tensor | None = None,
            keys: PackedLayout | Spans | None = None) -> Tensor:
        """Attend to each other or to a memory, then feed forward.

        Args:
            x (Tensor): A dense batch, (B, n, D), or packed tokens, (T, D).
            bias (Tensor, optional): Of relative positions, added to the
                logits, (heads, N, N) over all places.
            layout (PackedLayout or Spans, optional): Where the tokens stand.
                Defaults to None: a dense batch of whole images.
            attend (Callable, optional): The attention kernel. Defaults to
                None: :func:`packed_attention`.
            memory (Tensor, optional): What the tokens attend to instead of
                each other, packed, (S, D); the block normalises it.
            keys (PackedLayout or Spans, optional): Of the memory.

        Raises:
            UserError: If stochastic depth would drop tokens of a packed
                sequence instead of images.
        """
        return self.feed_forward(
            self.attended(x, bias, layout, attend, memory, keys))

    def attended(self,
                 x: Tensor,
                 bias: Tensor | None = None,
                 layout: PackedLayout | Spans | None = None,
                 attend: Attend | None = None,
                 memory: Tensor | None = None,
                 keys: PackedLayout | Spans | None = None) -> Tensor:
        """The first half of :meth:`run`."""
        if memory is not None:
            memory = self.normalise(self.ln1, memory)
        out = self.attn(self.normalise(self.ln1, x), bias, layout, attend,
                        memory, keys)
        return self.add(x, out, self.gamma_1)

    def normalise(self, norm: nn.Module, x: Tensor) -> Tensor:
        """A norm, in bfloat16 where what the blocks add up is.

        Its mean and variance are float32 all the same. Autocast would copy
        the tokens to float32 before and the result to bfloat16 after it.
        """
        if (self.residual_dtype == 'float32' or x.dtype != torch.bfloat16
                or not isinstance(norm, nn.LayerNorm)):
            return norm(x)
        with torch.autocast(x.device.type, enabled=False):
            return F.layer_norm(
                x, norm.normalized_shape, norm.weight.to(x.dtype),
                norm.bias.to(x.dtype), norm.eps)

    def feed_forward(self, x: Tensor) -> Tensor:
        """The second half, token by token."""
        out = self.normalise(self.ln2, x)
        if self.ffn.add_identity:
            return self.ffn(out, identity=x)
        return self.add(x, self.ffn(out), self.gamma_2)

    def fed_forward(self, x: Tensor) -> Tensor:
        """What the second half adds to the tokens, nothing dropped.

        Example:
            >>> from mmpretrain.models.backbones.vision_transformer import (
            ...     TransformerEncoderLayer)
            >>> block = Block(TransformerEncoderLayer(8, 2, 16)).eval()
            >>> x = block.attended(torch.randn(2, 5, 8))
            >>> torch.allclose(x + block.fed_forward(x),
            ...                block.feed_forward(x), atol=1e-6)
            True
        """
        out = self.normalise(self.ln2, x)
        if self.ffn.add_identity:
            return self.ffn(out, identity=out.new_zeros(()))
        added = self.ffn(out)
        return added if self.gamma_2 is None else self.gamma_2 * added

    def add(self,
            x: Tensor,
            branch: Tensor,
            gamma: Tensor | None = None) -> Tensor:
        """``x`` and a branch, which stochastic depth may drop."""
        if self.training and x.dim() == 2 and getattr(
                self.drop_path, 'drop_prob', 0.) > 0:
            raise UserError(
                'stochastic depth would drop single tokens of a sequence of '
                'images that keep different numbers of them; set '
                'backbone.drop_path_rate=0, or take a masker with one ratio '
                'for all images.')
        if gamma is not None:
            branch = (gamma * branch).to(x.dtype)
        return x + self.drop_path(branch)

    def at(self, x: Tensor, layout: PackedLayout) -> Tensor:
        """The block's output, packed (T, D), at some places only.

        All tokens are keys and values; those of the layout alone are queries
        and go through the feed-forward network. The numbers are those of the
        whole block.

        Args:
            x (Tensor): Its input, (B, N, D).
            layout (PackedLayout): Whose output is wanted, over the last n <=
                N columns (a class token in front may be left out).

        Example:
            >>> from mmpretrain.models.backbones.vision_transformer import (
            ...     TransformerEncoderLayer)
            >>> block = Block(TransformerEncoderLayer(8, 2, 16))
            >>> x, wanted = torch.randn(2, 5, 8), torch.rand(2, 4) < 0.5
            >>> layout = PackedLayout(wanted)
            >>> torch.allclose(block.at(x, layout),
            ...                layout.pack(block(x)[:, 1:]), atol=1e-6)
            True
        """
        first = x.shape[1] - layout.shape[1]
        places = layout.index + first * (layout.index // layout.shape[1] + 1)
        own = x.flatten(0, 1).index_select(0, places)
        keys = PackedLayout.whole(x, layout.order)
        return self.packed(own, None, layout, None, keys.pack(x), keys)


def plain_layer(dim: int,
                num_heads: int,
                mlp_ratio: float = 4.,
                drop_path_rate: float = 0.) -> TransformerEncoderLayer:
    """mmpretrain's layer as MAE and those that follow it have it."""
    return TransformerEncoderLayer(
        dim,
        num_heads,
        int(mlp_ratio * dim),
        drop_path_rate=drop_path_rate,
        norm_cfg=dict(type='LN', eps=1e-6))


def block_of(layer: nn.Module) -> Block:
    """One of mmpretrain's layers as a block; a block as it is."""
    return layer if isinstance(layer, Block) else Block(layer)


def blocks_of(layers: Iterable[nn.Module],
              with_cp: bool = False) -> nn.ModuleList:
    """Layers as blocks with the same parameters, maybe checkpointed."""
    # mmengine's lists initialise what is in them, torch's do not.
    kind = type(layers) if isinstance(layers, nn.ModuleList) else nn.ModuleList
    blocks = kind(block_of(layer) for layer in layers)
    for block in blocks:
        block.with_cp = with_cp
    return blocks


def attends_at_once(blocks: Sequence[nn.Module], x: Tensor,
                    bias: Tensor | None = None,
                    attend: Sequence[Attend] | None = None) -> bool:
    """Whether one kernel attends within all images, whatever their lengths.

    ``x`` are tokens of any shape, the other arguments as in
    :func:`run_blocks`.
    """
    return bias is None and attend is None and all(
        block_of(block).attn.runs_varlen(x) for block in blocks)


def run_blocks(blocks: Iterable[nn.Module],
               packed: Tensor,
               layout: PackedLayout,
               bias: Tensor | None = None,
               attend: Sequence[Attend] | None = None,
               memories: Iterable[Tensor] | None = None,
               keys: PackedLayout | None = None) -> Tensor:
    """Run blocks on packed tokens, (T, D), dense where they allow it.

    Images of equal length are a dense batch already: a view, no copy.

    Args:
        blocks (Iterable[nn.Module]): :class:`Block`s, or mmpretrain's layers.
        packed (Tensor): (T, D).
        layout (PackedLayout): Where the tokens stand.
        bias (Tensor, optional): As in :meth:`Block.run`, for all blocks.
        attend (Sequence[Callable], optional): The attention kernel of each
            block. Defaults to None: the plain ones.
        memories (Iterable[Tensor], optional): What the tokens of each block
            attend to instead of each other, packed, (S, D').
        keys (PackedLayout, optional): Of every memory.
    """
    x = packed
    if layout.uniform:
        x = packed.view(layout.batch_size, -1, packed.shape[-1])
    # Whole images need no layout where nothing else asks for it.
    plain = (attend is None and layout.uniform
             and (bias is None or layout.full)
             and (keys is None or keys.uniform))
    given: Iterable[Tensor | None] = memories or repeat(None)
    for number, (block, memory) in enumerate(
            zip(map(block_of, blocks), given)):
        if not plain:
            x = block.packed(
                x, bias, layout, None if attend is None else attend[number],
                memory, keys)
            continue
        if memory is not None:
            memory = memory.view(layout.batch_size, -1, memory.shape[-1])
        x = block(x, bias, None, None, memory)
    return x.view(packed.shape)
