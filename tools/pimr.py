#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""PIMR and Global PIMR (SBAM, Eq. 5 and 6) of a grid of runs.

    python tools/pimr.py work_dirs/pimr_small/runs.csv
    python tools/pimr.py a.csv b.csv --metric finetune_top1 --out robustness
    python tools/pimr.py work_dirs/a/runs.csv --evaluation finetune

Reads tables of tools/run_grid.py, or any CSV with the columns masker, ratio,
seed and the metric. Writes OUT.json, OUT.md and OUT.png, which shows the
performance over the masking ratio as in Fig. 3.
"""
import argparse
from pathlib import Path

from sbam_mm.command_line import ToolParser, parses_first, tool


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('tables', nargs='+', metavar='RUNS.csv')
    parser.add_argument(
        '--metric', default='knn_top1',
        help='column with the performance, higher is better (default: '
        'knn_top1)')
    parser.add_argument(
        '--evaluation', metavar='FOLDER',
        help="folder below each run's work_dir with the results of "
        '`tools/evaluate.py --protocol finetune`, whose top-1 accuracy is '
        'the performance')
    parser.add_argument(
        '--out', help='.json file; .md and .png are written beside it '
        '(default: pimr beside the first table)')
    return parser.parse_args()


from sbam_mm.evaluation.pimr import Curve, caveats, curves
from sbam_mm.evaluation.results import (
    markdown_table,
    plus_minus,
    result_files,
    write_results,
)
from sbam_mm.evaluation.run_table import FINETUNED, read_runs
from sbam_mm.visualization.output import save_figure
from sbam_mm.visualization.robustness import robustness_figure

NOTE = (
    'Means over seeds ± standard deviation over seeds. PIMR places a masker '
    'between its own worst and best ratio, Global PIMR between the worst and '
    'best of all maskers in this table; both say nothing about how far these '
    'are apart, so here it is: {spreads}.')
LABELS = {
    'knn_top1': 'kNN top-1 [%]',
    FINETUNED: 'fine-tuning top-1 [%]',
}


def rows(found: dict[str, Curve]) -> list[list[str]]:
    return [[
        masker, f'{p.ratio:g}', str(len(p.values)),
        plus_minus(p.mean, p.std, 2), plus_minus(p.pimr, p.pimr_std, 2),
        plus_minus(p.global_pimr, p.global_pimr_std, 2)
    ] for masker, curve in found.items() for p in curve.points]


def run(args: argparse.Namespace) -> list[Path]:
    """Do everything; returns the files written."""
    runs, notes = read_runs(args.tables, args.metric, args.evaluation)
    found = curves(runs)
    notes += caveats(found)
    metric = args.metric if args.evaluation is None else FINETUNED
    label = LABELS.get(metric, metric)
    spreads = ', '.join(f'{masker} {curve.spread:.2f}'
                        for masker, curve in found.items())
    table = markdown_table(
        ['masker', 'ratio', 'seeds', label, 'PIMR', 'Global PIMR'],
        rows(found))
    page = '\n'.join([table, NOTE.format(spreads=spreads), '',
                      *(f'- {note}' for note in notes)]).rstrip() + '\n'
    out = args.out or Path(args.tables[0]).with_name('pimr')
    picture, = result_files(out, '.png')
    save_figure(robustness_figure(found, label), picture)
    results = dict(
        metric=metric,
        tables=args.tables,
        maskers={
            masker: dict(
                spread=curve.spread,
                points=[point._asdict() for point in curve.points])
            for masker, curve in found.items()
        },
        notes=notes)
    written = [*write_results(out, results, page), picture]
    print(page)
    return written


@tool
def main() -> None:
    written = run(parse_args())
    print(f'Written: {", ".join(map(str, written))}')


if __name__ == '__main__':
    main()
