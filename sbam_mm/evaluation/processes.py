# Copyright (c) OpenMMLab. All rights reserved.
"""What the processes of an evaluation share out and tell each other.

Work is shared out in whole chunks (batches, chunks of queries), each of which
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

Result = TypeVar('Result')
# What is told again in the other processes: input that is wrong, and files.
USER_ERRORS = (ValueError, OSError)


def chunks(total: int, size: int) -> list[range]:
    """The numbers 0 to ``total - 1`` in chunks of ``size``; the last is less.

    Chunk i belongs to the process of rank i modulo their number.

    Example:
        >>> chunks(7, 3)
        [range(0, 3), range(3, 6), range(6, 7)]
    """
    return [range(start, min(start + size, total))
            for start in range(0, total, size)]


def local_chunks(total: int, size: int) -> list[range]:
    """Those of :func:`chunks` that this process works on; may be none."""
    rank, world = get_dist_info()
    return chunks(total, size)[rank::world]


def local_batches(count: int, batch: int, seed: int,
              epoch: int) -> Iterator[np.ndarray]:
    """The images of this process in every training step of an epoch.

    All processes together take the same steps, whatever their number: the
    images are shuffled, cut into steps of ``batch`` (an incomplete last one
    is dropped), and each step is shared out. Numbers are ascending, as a disk
    likes it.
    """
    rank, world = get_dist_info()
    order = np.random.default_rng([seed, epoch]).permutation(count)
    for start in range(0, count - batch + 1, batch):
        yield np.sort(order[start:start + batch])[rank::world]


def gather_results(work: Callable[[], Result]) -> list[Result]:
    """What each process's work returns, in all of them; all call this.

    An input error of one is raised in all.
    """
    if get_dist_info()[1] == 1:
        return [work()]
    return list(map(_result, all_gather_object(_attempt(work))))


def broadcast_from_main(work: Callable[[], Result]) -> Result:
    """What rank 0's work returns, for all; the others wait for it.

    An input error of rank 0 is raised in all.
    """
    rank, world = get_dist_info()
    if world == 1:
        return work()
    told = [_attempt(work) if rank == 0 else (None, '')]
    broadcast_object_list(told)
    return _result(told[0])


def _attempt(work: Callable[[], Result]) -> tuple[Result | None, str]:
    """What comes of it, and the sentence if it fails."""
    try:
        return work(), ''
    except USER_ERRORS as error:
        return None, str(error)


def _result(told: tuple[Any, str]) -> Any:
    if told[1]:
        raise UserError(told[1])
    return told[0]
