# Copyright (c) OpenMMLab. All rights reserved.
"""Table, page and figures of a study, from what is finished."""
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.evaluation.results import markdown_table, plus_minus

from .cells import Folder
from .figure_kinds import metrics_of
from .statistics import against, spread
from .study import shown
from .table import Row, choose, study_rows, write_table

NOTE = ('Means ± standard deviations over seeds. Differences from {baseline} '
        'are paired by seed (and by the other axes), ± standard error; p of '
        "the paired t test (3 pairs or more), corrected by Holm's method for "
        'the comparisons of one metric, and of the Wilcoxon signed-rank test '
        '(6 pairs or more).')


def report(folder: Folder) -> list[Path]:
    """Write ``<study>.csv``, ``.md``, ``.json`` and a picture per figure."""
    study, rows = folder.study, study_rows(folder)
    written = [write_table(folder, rows)]
    notes = []
    metrics: dict[str, None] = {}
    for name, content in study.figures.items():
        metrics.update(dict.fromkeys(metrics_of(content)))
        if not rows:
            continue
        path = folder.path / f'{study.name}-{name}.png'
        try:
            picture(content, rows, folder, path)
        except (UserError, ModuleNotFoundError) as error:
            notes.append(f'- No figure {name}: {error}')
        else:
            written.append(path)
            notes.append(f'![{name}]({path.name})')
    done = sum(folder.status(cell) == 'finished' for cell in study.cells)
    page = f'# {study.name}\n\n{done} of {len(study.cells)} cells finished.\n'
    for metric in metrics:
        if metric in {row.name for row in rows}:
            page += f'\n## {metric}\n\n' + metric_tables(folder, rows, metric)
    if study.baseline:
        (axis, label), = study.baseline.items()
        page += '\n' + NOTE.format(baseline=f'{axis} {label}') + '\n'
    folder.write_state(page + '\n' + '\n'.join(notes) + '\n')
    return [*written, folder.state, folder.state.with_suffix('.md')]


def picture(content: Mapping[str, Any], rows: Sequence[Row], folder: Folder,
            path: Path) -> None:
    """Draw one figure."""
    # The machine that trains need not have matplotlib.
    from sbam_mm.visualization.output import save_figure

    from .figures import draw
    study = folder.study
    content = dict(content, where=shown(study, content))
    save_figure(draw(content, rows, study.levels), path)


def metric_tables(folder: Folder, rows: Sequence[Row], metric: str) -> str:
    """Of the last epoch: a line per combination of labels, and the tests."""
    study = folder.study
    last = choose(rows, metric)
    values: dict[tuple[str, ...], list[Row]] = {}
    for row in last:
        values.setdefault(tuple(row.labels.values()), []).append(row)
    page = markdown_table(
        [*study.levels, 'epoch', 'seeds', 'mean ± std', 'values'],
        [[*labels, _epochs(each), str(len(each)),
          plus_minus(*spread([row.value for row in each])[:2]),
          ', '.join(f'{row.value:.4g}' for row in each)]
         for labels, each in values.items()])
    if study.baseline:
        (axis, label), = study.baseline.items()
        tests = against(last, axis, label)
        page += '\n' * bool(tests) + (markdown_table(
            [f'{axis} − {label}', 'difference', 'pairs', 'p (t)', 'p (Holm)',
             'p (Wilcoxon)'],
            [[name, plus_minus(test.mean, test.error), str(test.pairs),
              *(plus_minus(p, float('nan')) for p in
                (test.t, test.holm, test.wilcoxon))]
             for name, test in tests.items()]) if tests else '')
    return page


def _epochs(rows: Sequence[Row]) -> str:
    return ', '.join(map(str, sorted({row.epoch for row in rows})))
