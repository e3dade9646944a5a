# Copyright (c) OpenMMLab. All rights reserved.
"""What the processes of an evaluation share out and tell each other.

Work is shared out in whole pieces (batches, chunks of queries), each of which
is computed as one process alone would compute it; so the numbers do not
depend on how many there are.
"""
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_dist_info,
)

from sbam_mm.errors import UserError

Found = TypeVar('Found')
# What is told again in the other processes: input that is wrong, and files.
USER_ERRORS = (ValueError, OSError)


def pieces(total: int, size: int) -> list[range]:
    """The numbers 0 to ``total - 1`` in pieces of ``size``; the last is less.

    Piece i belongs to the process of rank i modulo their number.

    Example:
        >>> pieces(7, 3)
        [range(0, 3), range(3, 6), range(6, 7)]
    """
    return [range(start, min(start + size, total))
            for start in range(0, total, size)]


def own_pieces(total: int, size: int) -> list[range]:
    """Those of :func:`pieces` that this process works on; may be none.

    Example:
        >>> own_pieces(7, 3) == pieces(7, 3)  # of a single process
        True
    """
    rank, world = get_dist_info()
    return pieces(total, size)[rank::world]


def own_steps(count: int, batch: int, seed: int,
              epoch: int) -> Iterator[np.ndarray]:
    """The images of this process in every training step of an epoch.

    All processes together take the same steps, whatever their number: the
    images are shuffled, cut into steps, and each step is shared out.

    Args:
        batch (int): Images of a step of all processes; an incomplete last
            step is dropped.

    Yields:
        np.ndarray: Numbers of images, ascending, as a disk likes it.

    Example:
        >>> steps = list(own_steps(7, 3, seed=0, epoch=0))
        >>> [len(step) for step in steps]
        [3, 3]
    """
    rank, world = get_dist_info()
    order = np.random.default_rng([seed, epoch]).permutation(count)
    for start in range(0, count - batch + 1, batch):
        yield np.sort(order[start:start + batch])[rank::world]


def gathered(work: Callable[[], Found]) -> list[Found]:
    """What each process's work returns; all have to call this.

    Returns:
        list: One result per process, the same list in all of them.

    Raises:
        UserError: In all processes, if the work of one cannot be done.

    Example:
        >>> gathered(lambda: 7)
        [7]
    """
    if get_dist_info()[1] == 1:
        return [work()]
    return list(map(_result, all_gather_object(_attempt(work))))


def from_main(work: Callable[[], Found]) -> Found:
    """What rank 0 finds, for all; the others wait for it.

    Raises:
        UserError: In all processes, if rank 0 cannot do the work.

    Example:
        >>> from_main(lambda: 7)
        7
    """
    rank, world = get_dist_info()
    if world == 1:
        return work()
    told = [_attempt(work) if rank == 0 else (None, '')]
    broadcast_object_list(told)
    return _result(told[0])


def _attempt(work: Callable[[], Found]) -> tuple[Found | None, str]:
    """What comes of it, and the sentence if it fails."""
    try:
        return work(), ''
    except USER_ERRORS as error:
        return None, str(error)


def _result(told: tuple[Any, str]) -> Any:
    if told[1]:
        raise UserError(told[1])
    return told[0]
