# Copyright (c) OpenMMLab. All rights reserved.
"""What the processes of an evaluation share out and tell each other.

Work is shared out in whole pieces (batches, chunks of queries), each of which
is computed as one process alone would compute it; so the numbers do not
depend on how many there are.
"""
from collections.abc import Callable, Iterator
from typing import TypeVar

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

    Args:
        total (int): How many there are.
        size (int): Of a piece.

    Example:
        >>> pieces(7, 3)
        [range(0, 3), range(3, 6), range(6, 7)]
    """
    return [range(start, min(start + size, total))
            for start in range(0, total, size)]


def own_pieces(total: int, size: int) -> list[range]:
    """Those of :func:`pieces` that this process works on; may be none.

    Args:
        total (int): How many numbers there are.
        size (int): Of a piece.

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
        count (int): Images in all.
        batch (int): Images of a step of all processes; an incomplete last
            step is dropped.
        seed (int): Of the order.
        epoch (int): Every epoch has its own order.

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

    Args:
        work (Callable): May fail in one process alone.

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
    result, sentence = None, ''
    try:
        result = work()
    except USER_ERRORS as error:
        sentence = str(error)
    parts = all_gather_object((result, sentence))
    for _, sentence in parts:
        if sentence:
            raise UserError(sentence)
    return [result for result, _ in parts]


def from_main(work: Callable[[], Found]) -> Found:
    """What rank 0 finds, for all; the others wait for it.

    Args:
        work (Callable): Called in rank 0 only.

    Raises:
        UserError: In all processes, if rank 0 cannot do the work.

    Example:
        >>> from_main(lambda: 7)
        7
    """
    rank, world = get_dist_info()
    if world == 1:
        return work()
    told = [(None, '')]
    if rank == 0:
        try:
            told = [(work(), '')]  # type: ignore[list-item]
        except USER_ERRORS as error:
            told = [(None, str(error))]
    broadcast_object_list(told)
    result, sentence = told[0]
    if sentence:
        raise UserError(sentence)
    return result  # type: ignore[return-value]
