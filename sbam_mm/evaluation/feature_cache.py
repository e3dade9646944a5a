# Copyright (c) OpenMMLab. All rights reserved.
"""Frozen features of a data set, computed once and mapped from disk."""
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info, is_main_process
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from sbam_mm.errors import UserError
from sbam_mm.files import new_array, read_array, replacing

from .features import FrozenEncoder
from .processes import (
    broadcast_from_main,
    chunks,
    gather_results,
    local_chunks,
)

# Beside the features, under a name that none of them has.
LABELS = 'labels'
# Features (b, D) float16 and labels (b,) of a batch, by name.
Batch = dict[str, np.ndarray]


def cached_features(folder: str | Path, key: str, encoder: FrozenEncoder,
                    dataset: Dataset, names: Sequence[str]
                    ) -> tuple[dict[str, np.ndarray], Tensor]:
    """Features from files, one for each name; those not there are made.

    Several processes share the batches, and rank 0 writes; all have to call
    this, and to see the folder.

    Args:
        key (str): Differs for every checkpoint, data set and setting.

    Returns:
        tuple[dict, Tensor]: By name (N, D) float16, mapped from the file, and
        labels (N,). A class token of ViT-B takes 2 GB for ImageNet-1K.
    """
    paths = {name: Path(folder) / f'{key}.{name}.npy'
             for name in (*names, LABELS)}
    lacking = broadcast_from_main(
        lambda: [name for name in names if not paths[name].is_file()])
    if broadcast_from_main(lambda: not paths[LABELS].is_file()):
        lacking = list(names)
    if lacking:
        rounds = _rounds(encoder, dataset, lacking)
        if is_main_process():
            _write({name: paths[name] for name in (*lacking, LABELS)},
                   len(dataset),  # type: ignore[arg-type]
                   rounds, encoder.batch_size)
        else:
            for _ in rounds:
                pass
        barrier()
    return ({name: read_array(paths[name], 'c') for name in names},
            torch.from_numpy(read_array(paths[LABELS])))


def _rounds(encoder: FrozenEncoder, dataset: Dataset,
            names: Sequence[str]) -> Iterator[list[Batch]]:
    """Batch by batch, as many at a time as there are processes."""
    rank, world = get_dist_info()
    total: int = len(dataset)  # type: ignore[arg-type]
    count = len(chunks(total, encoder.batch_size))
    own = [list(chunk) for chunk in local_chunks(total, encoder.batch_size)]
    batches = encoder.features(encoder.loader(dataset, own), names)
    with closing(batches) as stream:

        def encode() -> list[Batch]:
            features, labels = next(stream)
            half = {name: found.half() for name, found in features.items()}
            if not all(found.isfinite().all() for found in half.values()):
                raise UserError(
                    'the features contain numbers that are not finite in '
                    'half precision, so the model has diverged; evaluate an '
                    'earlier checkpoint.')
            return [{name: found.cpu().numpy()
                     for name, found in (*half.items(), (LABELS, labels))}]

        for first in range(0, count, world):
            work = encode if first + rank < count else list
            yield [batch for part in gather_results(work) for batch in part]


def _write(paths: dict[str, Path], total: int, rounds: Iterator[list[Batch]],
           batch_size: int) -> None:
    steps = -(-total // (batch_size * get_dist_info()[1]))
    files: dict[str, np.ndarray] = {}
    start = 0
    with ExitStack() as stack:
        parts = {name: stack.enter_context(replacing(path))
                 for name, path in paths.items()}
        for batches in track(rounds, 'Features', steps,
                             disable=not sys.stdout.isatty()):
            for batch in batches:
                for name, rows in batch.items():
                    if not start:
                        files[name] = new_array(
                            parts[name], rows.dtype.type,
                            (total, *rows.shape[1:]))
                    files[name][start:start + len(rows)] = rows
                start += len(rows)
        for array in files.values():
            array.flush()  # type: ignore[attr-defined]
