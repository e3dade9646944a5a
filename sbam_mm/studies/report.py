# Copyright (c) OpenMMLab. All rights reserved.
"""Table, page and figures of a study, from what is finished."""
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.evaluation.pimr import gaps
from sbam_mm.evaluation.results import markdown_table, plus_minus

from .cells import Folder
from .figure_kinds import last_word, metrics_of
from .rows import Row
from .statistics import against, spread
from .study import shown
from .table import choose, pimr_curves, study_rows, write_table

NOTE = ('Means ± standard deviations over seeds. Differences from {baseline} '
        'are paired by seed (and by the other axes), ± standard error; p of '
        "the paired t test (3 pairs or more), corrected by Holm's method for "
        'the comparisons of one metric, and of the Wilcoxon signed-rank test '
        '(6 pairs or more).')
PIMR = (
    'PIMR places a masker between its own worst and best ratio, Global PIMR '
    'between the worst and best of all maskers in this table; both say '
    'nothing about how far these are apart, so here it is: {spreads}.')


def report(folder: Folder) -> list[Path]:
    """Write ``<study>.csv``, ``.md``, ``.json`` and a picture per figure."""
    study, rows = folder.study, study_rows(folder)
    # First what costs hours; drawing may fail.
    written = [write_table(folder, rows)]
    folder.write_state()
    statuses = {cell: folder.status(cell) for cell in study.cells}
    done = list(statuses.values()).count('finished')
    page = [f'# {study.name}', f'{done} of {len(statuses)} cells finished.']
    page += [f'- Left out: {cell} (failed: {folder.result(cell)["error"]})'
             for cell, status in statuses.items() if status == 'failed']
    known = {row.name for row in rows}
    for metric in dict.fromkeys(
            metric for content in study.figures.values()
            for metric in metrics_of(content)):
        if metric in known:
            page.append(f'## {metric}')
            try:
                page += metric_tables(folder, rows, metric)
            except UserError as error:
                page.append(f'- No table: {error}')
    if study.baseline and rows:
        (axis, label), = study.baseline.items()
        page.append(NOTE.format(baseline=f'{axis} {label}'))
    for name, content in study.figures.items() if rows else ():
        path = folder.path / f'{study.name}-{name}.png'
        diagrams = shown(study, content)
        try:
            if content['kind'] == 'pimr':
                page += pimr_table(diagrams[0], rows)
            picture(diagrams, rows, folder, path)
        except (UserError, ModuleNotFoundError) as error:
            page.append(f'- No figure {name}: {error}')
        else:
            written.append(path)
            page.append(f'![{name}]({path.name})')
    folder.write_state('\n\n'.join(page) + '\n')
    return [*written, folder.state, folder.state.with_suffix('.md')]


def picture(diagrams: Sequence[Mapping[str, Any]], rows: Sequence[Row],
            folder: Folder, path: Path) -> None:
    """Draw one figure."""
    # The machine that trains need not have matplotlib.
    from sbam_mm.visualization.output import save_figure

    from .figures import draw
    save_figure(draw(diagrams, rows, folder.study.levels), path)


def metric_tables(folder: Folder, rows: Sequence[Row],
                  metric: str) -> Iterator[str]:
    """Of the last epoch: a line per combination of labels, and the tests."""
    study = folder.study
    last = choose(rows, metric)
    values: dict[tuple[str, ...], list[Row]] = {}
    for row in last:
        values.setdefault(tuple(row.labels.values()), []).append(row)
    # Of options the last words will do, where they differ.
    names = list(map(last_word, study.levels))
    if len(set(names)) < len(names):
        names = list(study.levels)
    yield markdown_table(
        [*names, 'epoch', 'seeds', 'mean ± std', 'values'],
        [[*labels, ', '.join(map(str, sorted({row.epoch for row in each}))),
          str(len(each)),
          plus_minus(*spread([row.value for row in each])[:2]),
          ', '.join(f'{row.value:.4g}' for row in each)]
         for labels, each in values.items()])
    if study.baseline:
        (axis, label), = study.baseline.items()
        tests = against(last, axis, label)
        if tests:
            yield markdown_table(
                [f'{axis} − {label}', 'difference', 'pairs', 'p (t)',
                 'p (Holm)', 'p (Wilcoxon)'],
                [[name, plus_minus(test.mean, test.error), str(test.pairs),
                  *(plus_minus(p, float('nan')) for p in
                    (test.t, test.holm, test.wilcoxon))]
                 for name, test in tests.items()])


def pimr_table(content: Mapping[str, Any],
               rows: Sequence[Row]) -> Iterator[str]:
    """PIMR and Global PIMR, and what to know before comparing them."""
    found = pimr_curves(content, rows)
    yield markdown_table(
        [content['by'], 'ratio', 'seeds', *content['metric'], 'PIMR',
         'Global PIMR'],
        [[masker, f'{p.ratio:g}', str(len(p.values)),
          plus_minus(p.mean, p.std, 2), plus_minus(p.pimr, p.pimr_std, 2),
          plus_minus(p.global_pimr, p.global_pimr_std, 2)]
         for masker, curve in found.items() for p in curve.points])
    yield PIMR.format(spreads=', '.join(
        f'{masker} {curve.spread:.2f}' for masker, curve in found.items()))
    yield from (f'- {note}' for note in gaps(found))
