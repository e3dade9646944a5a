# Copyright (c) OpenMMLab. All rights reserved.
"""The table of a grid of runs: a CSV with a line per run."""
import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sbam_mm.errors import UserError
from sbam_mm.files import read_json, write_atomically

from .pimr import Run

FINISHED = 'finished'
FINETUNED = 'finetune_top1'
COLUMNS = (
    'masker', 'ratio', 'seed', 'status', 'knn_top1', 'loss',
    'images_per_second', 'visible_tokens', 'mask_ratio', 'seconds', 'started',
    'config', 'config_hash', 'base_hash', 'commit', 'versions', 'hardware',
    'work_dir', 'error')


def write_run_table(path: str | Path,
                    rows: Iterable[Mapping]) -> None:
    """Write the CSV of ``COLUMNS``, complete or not at all.

    What is missing or None becomes an empty cell.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction='ignore',
                           lineterminator='\n')
    table.writeheader()
    table.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def read_runs(paths: Sequence[str | Path],
              metric: str = 'knn_top1',
              evaluation: str | None = None
              ) -> tuple[list[Run], list[str]]:
    """Finished runs of one or several tables.

    Numbers measured later can be added as columns; where a table has
    ``status``, only finished runs count.

    Args:
        metric (str): Column with the performance, higher is better.
        evaluation (str, optional): Folder below each run's ``work_dir`` where
            ``tools/evaluate.py --protocol finetune`` has written its results:
            the performance is their top-1 accuracy, in place of a column.

    Returns:
        tuple[list[Run], list[str]]: The runs, and a sentence about each that
        was left out or cannot be compared without a thought.
    """
    runs: list[Run] = []
    notes: list[str] = []
    seen: dict[tuple, str] = {}
    bases: dict[str, dict[str, str]] = {}
    for path in paths:
        if evaluation is not None:
            metric = FINETUNED
        for number, row in _rows(path, metric, evaluation):
            where = f'{path}, line {number}'
            masker = row['masker'].strip()
            ratio = _number(row['ratio'], 'ratio', where)
            seed = int(_number(row['seed'], 'seed', where))
            if not 0 < ratio < 1:
                raise UserError(f'{where}: a masking ratio is a share in '
                                f'(0, 1), got {ratio:g}; correct it.')
            name = f'{masker} at ratio {ratio:g} with seed {seed}'
            status = (row.get('status') or FINISHED).strip()
            if status != FINISHED:
                error = row.get('error') or ''
                notes.append(f'Left out: {name} ({status}'
                             f'{": " + error.strip() if error else ""}).')
                continue
            if not (row.get(metric) or '').strip():
                notes.append(f'Left out: {name} has no {metric}.')
                continue
            value = _number(row[metric], metric, where)
            key = masker, ratio, seed
            if key in seen:
                raise UserError(f'{name} is there twice ({seen[key]} and '
                                f'{where}); leave one out.')
            seen[key] = where
            base = (row.get('base_hash') or '').strip()
            if base:
                bases.setdefault(masker, {}).setdefault(base, where)
            runs.append(Run(masker, ratio, seed, value))
    for masker, found in bases.items():
        if len(found) > 1:
            raise UserError(
                f'runs of {masker} differ in more than ratio and seed '
                f'(base_hash of {" and ".join(found.values())}); give tables '
                'of the same configuration.')
    if len({base for found in bases.values() for base in found}) > 1:
        notes.append('The maskers were run with different configurations '
                     '(base_hash): check that their budgets are equal.')
    return runs, notes


def _rows(path: str | Path, metric: str,
          evaluation: str | None) -> Iterable[tuple[int, dict[str, str]]]:
    """Lines of a table with their numbers."""
    needed = 'work_dir' if evaluation is not None else metric
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
    except OSError as error:
        raise UserError(f'{path} cannot be read ({error.strerror}); give the '
                        'CSV file that tools/run_grid.py wrote.') from error
    except UnicodeDecodeError as error:
        raise UserError(f'{path} is no text; give the CSV file that '
                        'tools/run_grid.py wrote.') from error
    table = csv.DictReader(io.StringIO(text))
    columns = table.fieldnames or []
    lacking = [name for name in ('masker', 'ratio', 'seed', needed)
               if name not in columns]
    if lacking:
        raise UserError(
            f'{path} has no column {" and no ".join(map(repr, lacking))}; its '
            f'columns are {", ".join(columns) or "none"}.')
    rows = [(table.line_num, row) for row in table]
    for _, row in rows if evaluation is not None else ():
        row[metric] = _finetuned(Path(row['work_dir'], evaluation or ''))
    return rows


def _finetuned(folder: Path) -> str:
    """Top-1 after fine-tuning, empty where it was not done."""
    path = folder / 'results.json'
    if not path.is_file():
        return ''
    found = read_json(path, protocols=dict)['protocols'].get('finetune', {})
    return str(found.get('top1', {}).get('last', ''))


def _number(text: str | None, column: str, where: str) -> float:
    try:
        value = float(text or '')
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f'{where}: {column} is {text!r}, which is no number; '
                        'correct it.')
    return value
