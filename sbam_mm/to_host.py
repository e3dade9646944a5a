# Copyright (c) OpenMMLab. All rights reserved.
"""Numbers on their way from a device to the host."""
from typing import Any

import torch
from torch import Tensor


class ToHost:
    """Values of a tensor, fetched while the device goes on.

    The copy stands in the device's queue where it was asked for. Reading it
    waits for what was queued before, and for nothing that came after.

    Example:
        >>> ToHost(torch.tensor([1., 2.])).read()
        [1.0, 2.0]
    """

    def __init__(self, values: Tensor):
        self.values = values.detach()
        self.copied: torch.cuda.Event | None = None
        if values.is_cuda:
            self.values, self.copied = sent(self.values)

    def read(self) -> Any:
        """The values, as nested lists; of a single one the number."""
        if self.copied is not None:
            self.copied.synchronize()
        return self.values.tolist()


def sent(values: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """A copy on the host, and when it is there."""
    # Memory that the device writes to without the host's help.
    copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    copy.copy_(values, non_blocking=True)
    return copy, torch.cuda.current_stream(values.device).record_event()
