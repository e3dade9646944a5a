# Copyright (c) OpenMMLab. All rights reserved.
"""What is known of the cells of a study in its folder."""
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.evaluation.protocols import (
    PROTOCOLS,
    settings_of,
    stored_settings,
)
from sbam_mm.evaluation.results import write_results
from sbam_mm.files import read_json, write_atomically, write_json

from .cell_config import content_hash, difference
from .record import Recorded, read_record
from .stages import Stage
from .study import Cell, Study

RESULT = 'result.json'


class Folder:
    """A study in a folder, whose cells other studies may share.

    ``cells/<hash>`` is a training, named by what it computes; files of the
    study itself begin with its name. What their tables know stays known when
    the folder of a cell is deleted.
    """

    def __init__(self, study: Study, path: str | Path) -> None:
        self.study = study
        self.path = Path(path)
        self.state = self.path / f'{study.name}.json'
        self.record = read_record(self.path)

    def of(self, cell: Cell) -> Path:
        return self.path / 'cells' / cell.hash

    def result(self, cell: Cell) -> dict[str, Any]:
        """What the last call has noted; nothing before the first."""
        known = self.recorded(cell)
        if known:
            return known.result
        path = self.of(cell) / RESULT
        return read_json(path, status=str) if path.is_file() else {}

    def recorded(self, cell: Cell) -> Recorded | None:
        """What tables know of a cell whose own folder is gone."""
        known = self.record.get(cell.hash)
        if known is None or self.of(cell).exists() or not known.has(
                self.study.measured, cell.epochs):
            return None
        return known

    def trained(self, cell: Cell) -> bool:
        return (self.of(cell) / f'epoch_{cell.epochs}.pth').is_file()

    def status(self, cell: Cell) -> str:
        """One of: to do, running, failed, interrupted, finished.

        Of a process that was killed "running" stays; the next call finds out.
        """
        if self.recorded(cell) or (
                self.trained(cell) and not any(self.missing(cell))):
            return 'finished'
        found = self.result(cell).get('status', 'to do')
        # Finished as another study, or an earlier form of this one, wanted.
        return 'to do' if found == 'finished' else found

    def evaluation(self, cell: Cell, stage: Stage, epoch: int) -> Path:
        """Where a stage has its results."""
        place = 'evaluation'
        if stage.options:
            place += f'-{content_hash(dict(options=list(stage.options)))}'
        return self.of(cell) / place / f'epoch_{epoch}'

    def protocol(self, cell: Cell, stage: Stage,
                 epoch: int) -> dict[str, Any] | None:
        """The results of a stage after an epoch.

        Raises:
            UserError: If it was evaluated with other settings.
        """
        path = self.evaluation(cell, stage, epoch) / 'results.json'
        if not path.is_file():
            return None
        found = read_json(path, protocols=dict)['protocols'].get(
            stage.protocol)
        if found is None:
            return None
        chosen = settings_of([stage.protocol], stage.changes)
        wanted = json.loads(json.dumps(stored_settings(
            chosen[stage.protocol], PROTOCOLS['finetune'], False)))
        changed = difference(found['asked'], wanted)
        if changed:
            raise UserError(
                f'{path} has results of {stage.protocol} with other settings '
                f'({"; ".join(changed)}); put the study back, delete this '
                'folder, or give another --work-dir.')
        return found

    def missing(self, cell: Cell) -> list[tuple[int, Stage]]:
        """What is still to be evaluated."""
        return [(epoch, stage) for stage in self.study.measured
                for epoch in stage.epochs(cell.epochs)
                if self.protocol(cell, stage, epoch) is None]

    def check_changes(self) -> None:
        """Stop at a study that is not what its trained cells were made by.

        Raises:
            UserError: With what differs, for the first such cell.
        """
        if not self.state.is_file():
            return
        before = read_json(self.state, cells=dict)['cells']
        for cell in self.study.cells:
            known = before.get(str(cell))
            if known in (None, cell.hash):
                continue
            place = self.path / 'cells' / known
            # One that failed before is put right by changing the study.
            if any(place.glob('epoch_*.pth')):
                content = read_json(place / 'content.json')
                changed = difference(content, cell.content)
                more = f' and {len(changed) - 4} more' * (len(changed) > 4)
                what = f'trained in {place}: {"; ".join(changed[:4])}{more}'
            elif known in self.record:
                what = f'whose numbers are in {self.state}'
            else:
                continue
            raise UserError(
                f'the study has changed under ({cell}), {what}; put the study '
                'back, give another --work-dir, or add --changed to train '
                'such cells anew.')

    def write(self, cell: Cell, processes: int, threads: int) -> Path:
        """The files that a cell is run by; returns its plan."""
        folder = self.of(cell)
        write_json(folder / 'content.json', dict(cell.content))
        config = cell.config.pretty_text.encode()
        write_atomically(folder / 'run_config.py', config)
        plan = folder / f'plan-{self.study.name}.json'
        parts: dict[tuple, dict[str, Any]] = {}
        for epoch, stage in self.missing(cell):
            out = str(self.evaluation(cell, stage, epoch))
            part = parts.setdefault((out, *stage.options), dict(
                epoch=epoch, out=out, protocols=[], changes=[],
                options=list(stage.options)))
            part['protocols'].append(stage.protocol)
            part['changes'] += stage.changes
        write_json(plan, dict(
            cell=str(cell), folder=str(folder), trained=self.trained(cell),
            data=cell.data, seed=cell.seed, processes=processes,
            threads=threads,
            evaluations=sorted(parts.values(), key=lambda p: p['epoch'])))
        return plan

    def write_state(self, page: str | None = None) -> None:
        """Which training each cell is, and what is known of it."""
        write_results(
            self.state,
            dict(stages=[stage.stored for stage in self.study.measured],
                 cells={str(cell): cell.hash for cell in self.study.cells},
                 results={cell.hash: dict(
                     self.result(cell), labels=dict(cell.labels),
                     seed=cell.seed, status=self.status(cell))
                     for cell in self.study.cells}), page)


def seconds_left(folder: Folder, cells: Sequence[Cell],
                 jobs: int) -> float | None:
    """How long cells will take, from those that are finished, by epochs.

    None where none is.
    """
    spent: dict[str, Mapping[str, Any]] = {
        cell.hash: folder.result(cell) for cell in folder.study.cells
        if folder.status(cell) == 'finished'}
    epochs = sum(cell.epochs for cell in folder.study.cells
                 if spent.get(cell.hash, {}).get('seconds'))
    if not epochs:
        return None
    seconds = sum(one.get('seconds', 0.) for one in spent.values())
    return sum(cell.epochs for cell in cells) * seconds / epochs / jobs
