# Copyright (c) OpenMMLab. All rights reserved.
"""How a guide changes what an encoder's layers attend to.

An encoder may have a *guide*: a module that knows, from what the pipeline
brings along with the images, how each layer is to attend, such as
``SegmentBias``. Nothing else in the models has to know of it.
"""
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from torch import Tensor, nn

from sbam_mm.layers import Attend


class Guide(Protocol):
    """An encoder's ``guide``: the stored map it wants, and its name."""
    needs: str
    who: str

    def kernels(self, grid: tuple[int, int], inputs: Tensor,
                data_samples: list | None,
                views: Sequence[int] | None) -> Sequence[Attend] | None:
        """How each layer attends to these images; None for plainly.

        ``views`` says which views of every image the inputs are, view after
        view; None: there is one.
        """


@contextmanager
def attending(encoder: nn.Module,
              kernels: Sequence[Attend] | None) -> Iterator[None]:
    """For a while, each layer of an encoder attends as it is told."""
    before = getattr(encoder, 'attend', None)
    encoder.attend = kernels  # type: ignore[assignment]
    try:
        yield
    finally:
        encoder.attend = before


def kernels_for(encoder: nn.Module,
                inputs: Tensor,
                data_samples: list | None = None,
                views: Sequence[int] | None = None
                ) -> Sequence[Attend] | None:
    """What an encoder's guide says of these images; None without one."""
    guide = getattr(encoder, 'guide', None)
    return None if guide is None else guide.kernels(
        encoder.grid(inputs), inputs, data_samples, views)


@contextmanager
def guided(encoder: nn.Module,
           inputs: Tensor,
           data_samples: list | None = None,
           views: Sequence[int] | None = None) -> Iterator[None]:
    """For a while, an encoder attends as its guide says, if it has one."""
    with attending(encoder, kernels_for(encoder, inputs, data_samples, views)):
        yield
