# Copyright (c) OpenMMLab. All rights reserved.
"""Sequences of different lengths in one batch, without padding.

The kept tokens of all images stand one after another in a flat tensor
(T, D). Everything that works token by token (norms, linear layers) runs on
it as it is; only attention has to know where an image ends.
"""
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

# On CUDA it exists since then.
STATIC_NONZERO = torch.__version__ >= '2.6'  # as versions


class Group(NamedTuple):
    """Neighbouring images of equal length in the packed order."""
    images: int
    length: int


class Spans(NamedTuple):
    """Where images begin and end, as the variable-length kernel wants it.

    Tensors and one number that hardly ever changes: what is compiled for
    them fits every batch.
    """
    ends: Tensor  # int32 (B + 1,), from 0
    bound: int  # no image is longer


def kept_places(keep: Tensor, total: int) -> Tensor:
    """As ``keep.nonzero()``, of which ``total`` is the length."""
    # The size is known, so the device need not be asked for it.
    if STATIC_NONZERO:
        return torch.nonzero_static(keep, size=total)
    places = keep.flatten().byte().sort(descending=True, stable=True)[1]
    places, found = places[:total], []
    for size in reversed(keep.shape):
        found.append(places % size)
        places = places // size
    return torch.stack(found[::-1], 1)


class PackedLayout:
    """Which tokens of a dense batch are kept, and where they stand.

    Images are packed shortest first by default, so those of equal length are
    neighbours and attend as one dense batch, exactly.

    Args:
        keep (Tensor): Boolean, (B, N). True = the token is kept.
        count (int, optional): Tokens kept per image when it is the same for
            all and known on the host.
        counted (tuple, optional): ``lengths`` in the packed order, and this
            ``order``, where they are known already. With this or ``count``
            the device is never asked.
        in_order (bool): Leave images as they come, where one kernel attends
            (:func:`attends_at_once`) and need not have equal neighbours.

    Attributes:
        keep (Tensor): As given.
        index (Tensor): int64 (T,), position of every packed token in the
            flattened (B * N) batch.
        order (Tensor or None): int64 (B,), which image stands where in the
            packed order; None where they stand as they came.
        cu_seqlens (Tensor): int32 (B + 1,), where images begin and end in
            the packed order.
        max_length (int): Tokens of the longest image.

    Example:
        >>> keep = torch.tensor([[True, True, True], [False, True, False]])
        >>> layout = PackedLayout(keep)
        >>> layout.index.tolist(), layout.lengths
        ([4, 0, 1, 2], [1, 3])
        >>> x = torch.arange(6.).view(2, 3, 1)
        >>> layout.unpack(layout.pack(x), torch.zeros(1)).flatten().tolist()
        [0.0, 1.0, 2.0, 0.0, 4.0, 0.0]
    """

    def __init__(self,
                 keep: Tensor,
                 count: int | None = None,
                 counted: tuple[list[int], Tensor | None] | None = None,
                 in_order: bool = False):
        batch_size, width = keep.shape
        self.shape = (batch_size, width)
        self.keep = keep
        order: Tensor | None = None
        if count is not None:
            self.lengths: list[int] = [count] * batch_size
        elif counted is not None:
            self.lengths, order = counted
        else:
            # The one moment the host waits for the device.
            counts = keep.sum(dim=1).tolist()
            by_count = list(range(batch_size))
            if not in_order:
                by_count.sort(key=counts.__getitem__)
            self.lengths = [counts[i] for i in by_count]
            if by_count != list(range(batch_size)):
                order = torch.tensor(by_count).to(
                    keep.device, non_blocking=True)
        self.order = order

    @cached_property
    def index(self) -> Tensor:
        # Not before it is wanted: a whole batch can do without.
        keep = self.keep if self.order is None else self.keep[self.order]
        row, column = kept_places(keep, sum(self.lengths)).unbind(1)
        if self.order is not None:
            row = self.order[row]
        return row * self.shape[1] + column

    @classmethod
    def whole(cls, batch: Tensor, order: Tensor | None = None
              ) -> 'PackedLayout':
        """Layout of a dense batch, (B, N, ...), all of it kept.

        ``order``, int64 (B,), says which image stands where.
        """
        rows, width = batch.shape[0], batch.shape[1]
        keep = batch.new_ones((rows, width), dtype=torch.bool)
        return cls(keep, counted=([width] * rows, order))

    def beside(self,
               keep: Tensor,
               lengths: list[int] | None = None) -> 'PackedLayout':
        """Layout of other tokens of the same images, in the same order.

        ``lengths``, how many of each, follow that order too; without them the
        device is asked.
        """
        if lengths is None:
            counts = keep.sum(dim=1)
            if self.order is not None:
                counts = counts[self.order]
            lengths = counts.tolist()
        return PackedLayout(keep, counted=(lengths, self.order))

    def rest(self, keep: Tensor) -> 'PackedLayout':
        """Layout of the tokens that this one leaves out, in its order.

        Args:
            keep (Tensor): Boolean (B, n): which ones, over all N columns of
                this layout or over the last n, if it keeps the others.

        Example:
            >>> visible = torch.tensor([[True, True, True],
            ...                         [True, False, True]])
            >>> layout = PackedLayout(visible).rest(~visible[:, 1:])
            >>> layout.lengths, layout.index.tolist()
            ([1, 0], [2])
        """
        return self.beside(keep, [self.shape[1] - n for n in self.lengths])

    @property
    def batch_size(self) -> int:
        return self.shape[0]

    @property
    def uniform(self) -> bool:
        """Whether all images keep the same number of tokens."""
        return min(self.lengths) == self.max_length

    @property
    def full(self) -> bool:
        """Whether every token is kept, and stands where it stood."""
        return self.order is None and min(self.lengths) == self.shape[1]

    @property
    def max_length(self) -> int:
        return max(self.lengths)

    @cached_property
    def cu_seqlens(self) -> Tensor:
        ends = torch.tensor([0] + self.lengths).cumsum(0)
        return ends.int().to(self.keep.device, non_blocking=True)

    @cached_property
    def spans(self) -> Spans:
        # The kernel works in tiles of up to 128 tokens, so that a bound in
        # whole ones costs it nothing.
        return Spans(self.cu_seqlens, -(-self.max_length // 128) * 128)

    def slices(self) -> Iterator[tuple[slice, Group]]:
        """Which of the packed tokens each group has."""
        begin = 0
        # Equal lengths are neighbours.
        for length, images in groupby(self.lengths):
            group = Group(len(list(images)), length)
            end = begin + group.images * group.length
            yield slice(begin, end), group
            begin = end

    def pack(self, x: Tensor) -> Tensor:
        """Take the kept tokens: (B, N, D) -> (T, D)."""
        flat = x.flatten(0, 1)
        return flat if self.full else flat.index_select(0, self.index)

    def unpack(self, packed: Tensor, fill: Tensor) -> Tensor:
        """Put (T, D) back in place, (B, N, D), and ``fill`` elsewhere."""
        batch_size, width = self.shape
        full = fill.to(packed.dtype).expand(batch_size, width,
                                            packed.shape[-1])
        full = full.reshape(-1, packed.shape[-1])
        return full.index_copy(0, self.index, packed).view(
            batch_size, width, -1)


@dataclass(eq=False)
class Latent:
    """Encoded tokens.

    ``packed`` is (T, D): image after image, each with its class token
    followed by its encoded patches in grid order; ``layout`` says where they
    stand in (B, 1 + L). ``blocks`` is the output of single blocks, where
    asked for, without the final norm; likewise what enters the first.
    """
    packed: Tensor
    layout: PackedLayout
    blocks: tuple[Tensor, ...] = ()

    def to_dense(self, fill: float = 0.) -> Tensor:
        """Tokens in place, (B, 1 + L, D), ``fill`` where there is none."""
        if self.layout.full:
            return self.packed.view(*self.layout.shape, -1)
        return self.layout.unpack(self.packed, self.packed.new_full((), fill))
