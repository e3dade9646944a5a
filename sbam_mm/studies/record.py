# Copyright (c) OpenMMLab. All rights reserved.
"""What the tables in a folder know of cells whose own folder is gone."""
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sbam_mm.files import read_json

from .rows import Row, read_rows
from .stages import Stage


@dataclass
class Recorded:
    """A finished cell: how it was run, what was measured of it."""
    result: dict[str, Any]
    stages: list[Any] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def has(self, stages: Sequence[Stage], epochs: int) -> bool:
        """Whether all that stages measure is there, with their settings."""
        there = {(row.epoch, row.protocol) for row in self.rows}
        return all(stage.stored in self.stages and
                   (epoch, stage.protocol) in there
                   for stage in stages for epoch in stage.epochs(epochs))


def read_record(folder: Path) -> dict[str, Recorded]:
    """Finished cells of all studies in a folder, by their hash.

    A study is a ``<study>.json`` with a ``<study>.csv`` beside it. What
    several of them know of one cell is put together.

    Raises:
        UserError: If a table is none.
    """
    found: dict[str, Recorded] = {}
    for path in sorted(folder.glob('*.json')):
        table = path.with_suffix('.csv')
        if not table.is_file():
            continue
        state = read_json(path, results=dict)
        for mark, result in state['results'].items():
            if result.get('status') == 'finished':
                cell = found.setdefault(mark, Recorded(result))
                cell.stages += state.get('stages') or []
        known = {mark: {row[2:-1] for row in cell.rows}
                 for mark, cell in found.items()}
        for row in read_rows(table):
            if row[2:-1] not in known.get(row.cell, {row[2:-1]}):
                found[row.cell].rows.append(row)
    return found
