# Copyright (c) OpenMMLab. All rights reserved.
"""The tidy table of a study: a line per cell, epoch, protocol and metric."""
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from sbam_mm.engine.run_log import Records, read_scalars
from sbam_mm.errors import UserError
from sbam_mm.evaluation.pimr import Curve, Run, curves

from .cells import Folder
from .rows import Row, write_rows
from .study import Cell

# Of the log, what is no result.
IGNORED = ('step', 'iter', 'epoch', 'lr', 'base_lr', 'data_time', 'eta',
           'memory', 'time', 'grad_norm')


def training_rows(records: Records,
                  batch_size: int) -> Iterator[tuple[int, str, float]]:
    """Epoch, metric and value of what a training has logged.

    Of what is logged several times in an epoch the mean, of the time of a step
    the median over the training, as images per second.

    Example:
        >>> list(training_rows([dict(epoch=1, loss=.5), dict(epoch=1, loss=.3),
        ...                     dict(epoch=1, knn_top1=40.)], 64))
        [(1, 'knn_top1', 40.0), (1, 'loss', 0.4)]
    """
    values: dict[tuple[int, str], list[float]] = {}
    for record in records:
        for name, value in record.items():
            if name not in IGNORED and 'epoch' in record:
                values.setdefault((int(record['epoch']), name),
                                  []).append(value)
    for (epoch, name), each in sorted(values.items()):
        yield epoch, name, mean(each)
    # The first record contains the start of the workers.
    times = [r['time'] for r in records if 'loss' in r and 'time' in r]
    if times:
        yield (max(epoch for epoch, _ in values), 'images_per_second',
               batch_size / median(times[1:] or times))


def protocol_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Metrics of one protocol in the results of ``tools/evaluate.py``.

    Of a sweep over classifiers the best one, chosen on the test images as
    DINO and iBOT do.
    """
    top1 = found['top1']
    if 'best' in found:
        yield 'best', top1[found['best']]
        return
    for name, value in top1.items():
        if value is not None:
            yield name, value


def cell_rows(folder: Folder, cell: Cell) -> Iterator[Row]:
    """All that is known of a cell so far."""

    def row(epoch: int, protocol: str, metric: str, value: float) -> Row:
        return Row(cell.labels, cell.hash, cell.seed, epoch, protocol, metric,
                   float(value))

    known = folder.recorded(cell)
    if known:
        for one in known.rows:
            yield one._replace(labels=cell.labels)
        return
    if any(folder.of(cell).glob('*/vis_data/scalars.json')):
        batch = cell.config.train_dataloader.get('batch_size') or 1
        batch *= folder.result(cell).get('processes', 1)
        for epoch, metric, value in training_rows(
                read_scalars(folder.of(cell)), batch):
            yield row(epoch, 'training', metric, value)
    for stage in folder.study.measured:
        for epoch in stage.epochs(cell.epochs):
            found = folder.protocol(cell, stage, epoch)
            for metric, value in protocol_rows(found) if found else ():
                yield row(epoch, stage.protocol, metric, value)


def study_rows(folder: Folder) -> list[Row]:
    """The table, of the cells that are finished."""
    return [row for cell in folder.study.cells
            if folder.status(cell) == 'finished'
            for row in cell_rows(folder, cell)]


def write_table(folder: Folder, rows: Iterable[Row]) -> Path:
    """``<study>.csv``."""
    path = folder.path / f'{folder.study.name}.csv'
    write_rows(path, list(folder.study.levels), rows)
    return path


def choose(rows: Sequence[Row], metric: str,
           where: Mapping[str, Sequence[str]] | None = None,
           at: str | int | None = 'last') -> list[Row]:
    """Rows of one metric, of some labels, after one epoch.

    Args:
        at (str or int, optional): An epoch, "last" (of each cell, with this
            metric), or None for all.

    Raises:
        UserError: If no cell has a finite value of the metric, or none of
            these labels and this epoch.
    """
    names = dict.fromkeys(row.name for row in rows)
    if metric not in names:
        raise UserError(f'no finished cell has the metric {metric!r}; there '
                        f'is {", ".join(map(repr, names)) or "none at all"}.')
    found = [row for row in rows if row.name == metric and all(
        row.labels[axis] in labels
        for axis, labels in (where or {}).items())
        and math.isfinite(row.value)]
    last: dict[str, int] = {}
    for row in found:
        last[row.cell] = max(row.epoch, last.get(row.cell, 0))
    found = [row for row in found if at is None or row.epoch == (
        last[row.cell] if at == 'last' else at)]
    if not found:
        wanted = [f'{axis} {" or ".join(labels)}'
                  for axis, labels in (where or {}).items()]
        if at not in (None, 'last'):
            wanted.append(f'epoch {at}')
        of = f' of {", ".join(wanted)}' if wanted else ''
        raise UserError(f'no finished cell has a finite {metric!r}{of}.')
    return found


def pimr_curves(content: Mapping[str, Any],
                rows: Sequence[Row]) -> dict[str, Curve]:
    """What a diagram of the kind "pimr" shows."""
    return curves([
        Run(row.labels[content['by']], float(row.labels[content['x']]),
            row.seed, row.value)
        for row in choose(rows, content['metric'][0], content.get('where'),
                          content.get('at', 'last'))])
