# Copyright (c) OpenMMLab. All rights reserved.
"""Run a function in two gloo processes and hand back what each returns."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from sbam_mm.engine.launch import close_group

PATIENCE = 300


def _member(rank: int, function: Callable, folder: Path, args: tuple) -> None:
    # First of all: the threads of the parent do not survive the fork, and
    # waiting for them would last for ever.
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.save(function(rank, *args), folder / f'{rank}.pth')
    close_group()


def run_two(function: Callable, folder: Path, *args: Any) -> list[Any]:
    """Call ``function(rank, *args)`` in two processes of one group.

    Args:
        function (Callable): Returns what ``torch.save`` can write.
        folder (Path): For the rendezvous and the results; its own.
        *args: Passed on; forked, so anything will do.

    Returns:
        list: What rank 0 and rank 1 returned.
    """
    context = mp.get_context('fork')
    members = [
        context.Process(target=_member, args=(rank, function, folder, args))
        for rank in range(2)
    ]
    for member in members:
        member.start()
    for member in members:
        member.join(PATIENCE)
    try:
        assert [member.exitcode for member in members] == [0, 0]
    finally:
        for member in members:
            member.kill()
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]
