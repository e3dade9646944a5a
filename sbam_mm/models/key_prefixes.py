# Copyright (c) OpenMMLab. All rights reserved.
"""What stands before the names of parameters, such as "module.encoder."."""
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from mmengine.logging import print_log
from torch import Tensor

State = Mapping[str, Tensor]
SHOWN = 5


def listing(keys: list[str]) -> str:
    """The first keys and how many more there are."""
    more = len(keys) - SHOWN
    return ', '.join(keys[:SHOWN]) + (f', and {more} more' if more > 0 else '')


def without_prefix(state: State) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Beginnings that all keys share, shortest first, and weights without.

    Example:
        >>> import torch
        >>> state = {'model.encoder.a.x': torch.ones(1),
        ...          'model.encoder.b.x': torch.ones(1)}
        >>> for prefix, bare in without_prefix(state):
        ...     print(prefix, list(bare))
        model. ['encoder.a.x', 'encoder.b.x']
        model.encoder. ['a.x', 'b.x']
    """
    paths = [key.split('.')[:-1] for key in state]
    prefix = ''
    for names in zip(*paths):
        if len(set(names)) > 1:
            break
        prefix += f'{names[0]}.'
        yield prefix, {
            key[len(prefix):]: value for key, value in state.items()
        }


def say_prefix(prefix: str, name: str, others: Sequence[str] = ()) -> None:
    """Log that the beginning of keys was taken off, and what has another."""
    print_log(
        f'{"Keys" if others else "All keys"} of {name} begin with "{prefix}", '
        'which was taken off' +
        (f'; {len(others)} have another beginning and are not used: '
         f'{listing(list(others))}.' if others else '.'),
        logger='current',
        level=logging.WARNING)


def prefix_of_known(state: State, known: Callable[[str], bool]) -> str | None:
    """The one beginning behind which there are known keys.

    Of two, as of a student and a teacher, nobody says which is meant: None.

    Example:
        >>> keys = ['model.vit.blocks.0.bias', 'loss.centre']
        >>> prefix_of_known(dict.fromkeys(keys),
        ...                 lambda key: key.startswith('blocks.'))
        'model.vit.'
    """
    found = set()
    for key in state:
        parts = key.split('.')
        beginnings = ['.'.join(parts[:end]) + '.'
                      for end in range(1, len(parts))]
        found.update([prefix for prefix in beginnings
                      if known(key[len(prefix):])][:1])
    return found.pop() if len(found) == 1 else None
