# Copyright (c) OpenMMLab. All rights reserved.
"""Sequences of different lengths in one batch, without padding.

The kept tokens of all images stand one after another in a flat tensor
(T, D). Everything that works token by token (norms, linear layers) runs on
it as it is; only attention has to know where an image ends.
"""
from typing import List, NamedTuple, Optional

import torch
from torch import Tensor


class Group(NamedTuple):
    """Neighbouring images of equal length in the packed order."""
    start: int
    images: int
    length: int


class PackedLayout:
    """Which tokens of a dense batch are kept, and where they stand.

    Images are packed shortest first, so images of equal length are
    neighbours and attend as one dense batch, exactly.

    Args:
        keep (Tensor): Boolean, (B, N). True = the token is kept.
        count (int, optional): Tokens kept per image when it is the same for
            all and known on the host. The device is then never asked.
            Defaults to None.

    Attributes:
        index (Tensor): int64 (T,), position of every packed token in the
            flattened (B * N) batch.
        cu_seqlens (Tensor): int32 (B + 1,), where images begin and end in
            the packed order.
        max_length (int): Tokens of the longest image.
        groups (list[Group]): Runs of equally long images.

    Example:
        >>> keep = torch.tensor([[True, True, True], [False, True, False]])
        >>> layout = PackedLayout(keep)
        >>> layout.index.tolist(), layout.lengths
        ([4, 0, 1, 2], [1, 3])
        >>> x = torch.arange(6.).view(2, 3, 1)
        >>> layout.unpack(layout.pack(x), torch.zeros(1)).flatten().tolist()
        [0.0, 1.0, 2.0, 0.0, 4.0, 0.0]
    """

    def __init__(self, keep: Tensor, count: Optional[int] = None):
        batch_size, width = keep.shape
        self.shape = (batch_size, width)
        if count is not None:
            self.lengths: List[int] = [count] * batch_size
            order = None
        else:
            # The one moment the host waits for the device.
            counts = keep.sum(dim=1).cpu()
            sorted_counts, order = counts.sort(stable=True)
            self.lengths = sorted_counts.tolist()
            order = order.to(keep.device, non_blocking=True)
            keep = keep[order]
        try:
            # The size is known, so `nonzero` need not ask the device for it.
            places = torch.nonzero_static(keep, size=sum(self.lengths))
        except NotImplementedError:  # on CUDA before torch 2.6
            places = keep.nonzero()
        row, column = places.unbind(1)
        if order is not None:
            row = order[row]
        self.index = row * width + column

    @property
    def batch_size(self) -> int:
        return self.shape[0]

    @property
    def uniform(self) -> bool:
        """Whether all images keep the same number of tokens."""
        return self.lengths[0] == self.lengths[-1]

    @property
    def max_length(self) -> int:
        return self.lengths[-1]

    @property
    def cu_seqlens(self) -> Tensor:
        if not hasattr(self, '_cu_seqlens'):
            ends = torch.tensor([0] + self.lengths).cumsum(0)
            self._cu_seqlens = ends.int().to(
                self.index.device, non_blocking=True)
        return self._cu_seqlens

    @property
    def groups(self) -> List[Group]:
        if not hasattr(self, '_groups'):
            self._groups = []
            start = 0
            for length in sorted(set(self.lengths)):
                images = self.lengths.count(length)
                self._groups.append(Group(start, images, length))
                start += images * length
        return self._groups

    def pack(self, x: Tensor) -> Tensor:
        """Take the kept tokens: (B, N, D) -> (T, D)."""
        return x.flatten(0, 1).index_select(0, self.index)

    def unpack(self, packed: Tensor, fill: Tensor) -> Tensor:
        """Put tokens back in place: (T, D) -> (B, N, D).

        Args:
            packed (Tensor): (T, D).
            fill (Tensor): What stands where no token was kept; broadcasts to
                (B, N, D).
        """
        batch_size, width = self.shape
        full = fill.to(packed.dtype).expand(batch_size, width,
                                            packed.shape[-1])
        full = full.reshape(-1, packed.shape[-1])
        return full.index_copy(0, self.index, packed).view(
            batch_size, width, -1)
