# Copyright (c) OpenMMLab. All rights reserved.
"""What the tables in a folder know of cells whose own folder is gone."""
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sbam_mm.errors import UserError
from sbam_mm.files import read_json

from .stages import Stage


class Number(NamedTuple):
    """One number of a training, whatever a study calls the training."""
    epoch: int
    protocol: str
    metric: str
    value: float


@dataclass
class Recorded:
    """A finished cell: how it was run, what was measured of it."""
    result: dict[str, Any]
    stages: list[Any] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)

    def has(self, stages: Sequence[Stage], epochs: int) -> bool:
        """Whether all that stages measure is there, with their settings."""
        there = {(one.epoch, one.protocol) for one in self.numbers}
        return all(stage.stored in self.stages and
                   (epoch, stage.protocol) in there
                   for stage in stages for epoch in stage.epochs(epochs))


def read_record(folder: Path) -> dict[str, Recorded]:
    """Finished cells of all studies in a folder, by their hash.

    A study is a ``<study>.json`` with a ``<study>.csv`` beside it. What
    several of them know of one cell is put together.

    Raises:
        UserError: If a table is cut off or was edited by hand.
    """
    found: dict[str, Recorded] = {}
    for path in sorted(folder.glob('*.json')):
        table = path.with_suffix('.csv')
        if not table.is_file():
            continue
        state = read_json(path)
        results: Mapping[str, Any] = state.get('results') or {}
        for mark, result in results.items():
            if result.get('status') == 'finished':
                cell = found.setdefault(mark, Recorded(result))
                cell.stages += state.get('stages') or []
        try:
            with open(table, encoding='utf-8', newline='') as file:
                for row in csv.DictReader(file):
                    cell = found.get(row['cell']) or Recorded({})
                    number = Number(int(row['epoch']), row['protocol'],
                                    row['metric'], float(row['value']))
                    if number not in cell.numbers:
                        cell.numbers.append(number)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f'{table} is no table of a study ({error}); put '
                            'it back, or delete it to measure its cells '
                            'anew.') from error
    return found
