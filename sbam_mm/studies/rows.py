# Copyright (c) OpenMMLab. All rights reserved.
"""The tidy table of a study as a file: ``<study>.csv``."""
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sbam_mm.errors import UserError
from sbam_mm.files import write_atomically


class Row(NamedTuple):
    """One number of one cell; accuracies are per cent."""
    labels: Mapping[str, str]
    cell: str
    seed: int
    epoch: int
    protocol: str
    metric: str
    value: float

    @property
    def name(self) -> str:
        """What figures call the metric, e.g. "knn/avg, k=20"."""
        return f'{self.protocol}/{self.metric}'


def write_rows(path: Path, axes: Sequence[str], rows: Iterable[Row]) -> None:
    """A column for the labels of each axis, then those of :class:`Row`."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator='\n')
    table.writerow([*axes, *Row._fields[1:]])
    for row in rows:
        table.writerow([*(row.labels[axis] for axis in axes), *row[1:-1],
                        f'{row.value:.6g}'])
    write_atomically(path, text.getvalue().encode())


def read_rows(path: Path) -> list[Row]:
    """What :func:`write_rows` wrote.

    Raises:
        UserError: If the table is cut off or was edited by hand.
    """
    rows = []
    try:
        with open(path, encoding='utf-8', newline='') as file:
            for line in csv.DictReader(file):
                cell, seed, epoch, protocol, metric, value = (
                    line.pop(name) for name in Row._fields[1:])
                rows.append(Row(line, cell, int(seed), int(epoch), protocol,
                                metric, float(value)))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f'{path} is no table of a study ({error}); put it '
                        'back, or delete it to measure its cells anew.'
                        ) from error
    return rows
