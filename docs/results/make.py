#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Write the tables of docs/results.md from the tables of the studies.

Between `<!-- table NAME COLUMN ... -->` and `<!-- end -->` stands a line for
each arm of the study docs/results/NAME.csv, with the mean and the standard
deviation of the columns over seeds, and of what has a * the mean difference
from the first arm and its standard error. `speed` is measured in turns by
tools/benchmarks/study_steps.py, see docs/benchmarks/NAME_cpu.md. A last column
has p of the paired t test of the first such difference, corrected by Holm's
method; differences with p < 0.05 are bold. NAME+NAME has the differences of
two studies of the same arms together.
"""
import json
import math
import re
from pathlib import Path

from sbam_mm.evaluation.results import markdown_table, plus_minus
from sbam_mm.studies.figure_kinds import last_word
from sbam_mm.studies.rows import read_rows
from sbam_mm.studies.statistics import against, spread
from sbam_mm.studies.table import choose

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parent / 'results.md'
BENCHMARKS = FOLDER.parent / 'benchmarks'
BLOCK = re.compile(r'<!-- table (\S+) ([^>]*?) -->\n.*?<!-- end -->', re.S)
# Title, metric, factor and digits.
COLUMNS = {
    'kNN': ('kNN top-1', 'knn/avg, k=20', 1, 1),
    'linear': ('linear top-1', 'linear-sweep/best', 1, 1),
    'tokens': ('visible tokens', 'training/visible_tokens', 1, 1),
    'object': ('objects hidden [%]', 'training/object_hidden', 100, 1),
    'background': ('background hidden [%]', 'training/background_hidden', 100,
                   1),
    'auroc': ('AUROC of objects', 'training/auroc', 1, 2),
    'speed': ('images/s', None, 1, 0),
    'pimr': ('kNN top-1', 'training/knn_top1', 1, 1),
}


def arms_of(rows):
    """The first columns of a table, the arms by their labels, the first arm.

    Where all arms differ from one of them in one option, that one comes first,
    and of the others, option by option, what differs is named.
    """
    axes = list(rows[0].labels)
    arms = dict.fromkeys(tuple(row.labels.values()) for row in rows)
    first = next(iter(arms))

    def changed(arm, one):
        return [f'{last_word(axis)} {label}' for axis, label, other
                in zip(axes, arm, one) if label != other]

    def place(arm):
        return [label != other for label, other in zip(arm, first)]

    middle = [one for one in arms
              if all(len(changed(arm, one)) < 2 for arm in arms)]
    if len(axes) == 1 or not middle:
        return axes, {arm: list(arm) for arm in arms}, first
    first = middle[0]
    every = changed(first, [None] * len(axes))
    return ['arm'], {first: [', '.join(every)], **{
        arm: changed(arm, first)
        for arm in sorted(arms, key=place, reverse=True) if arm != first
    }}, first


def p_value(test):
    if test is None or math.isnan(test.holm):
        return '–'
    return '< 0.01' if test.holm < .01 else f'{test.holm:.2f}'


def difference(test):
    if test is None:
        return '–'
    text = plus_minus(test.mean, test.error, 1)
    return f'**{text}**' if test.holm < .05 else text


def table(name, columns):
    """One table of the page, of one study."""
    rows = read_rows(FOLDER / f'{name}.csv')
    rates = {}
    if 'speed' in columns:
        benchmark = BENCHMARKS / f'{name}_cpu.json'
        rates = json.loads(benchmark.read_text())['images_per_second']
    last = {column: choose(rows, COLUMNS[column.strip('*')][1])
            for column in columns if column != 'speed'}
    names, arms, first = arms_of(rows)
    minus = f'− {first[0]}' if len(first) == 1 else '− first'
    compared = {column: against(
        [row._replace(labels={'arm': str(tuple(row.labels.values()))})
         for row in last[column]], 'arm', str(first))
        for column in columns if column.endswith('*')}
    head, lines = [*names, 'seeds'], []
    for column in columns:
        title = COLUMNS[column.strip('*')][0]
        head += [title, minus] if column in compared else [title]
    for arm, shown in arms.items():
        line, seeds = [*shown], set()
        for column in columns:
            if column == 'speed':
                line.append(f'{rates[", ".join(arm)][0]:.0f}')
                continue
            _, _, factor, digits = COLUMNS[column.strip('*')]
            values = [factor * row.value for row in last[column]
                      if tuple(row.labels.values()) == arm]
            seeds.add(len(values))
            line.append(plus_minus(*spread(values)[:2], digits)
                        if values else '–')
            if column in compared:
                line.append(difference(compared[column].get(str(arm))))
        if compared:
            line.append(p_value(next(iter(compared.values())).get(str(arm))))
        line.insert(len(shown), str(max(seeds)))
        lines.append(line)
    return markdown_table(head + ['p (kNN)'] * bool(compared), lines)


def table_of_differences(names, columns):
    """One table of the page: several studies of the same arms, by one axis."""
    studies = [read_rows(FOLDER / f'{name}.csv') for name in names]
    [(axis, first)] = studies[0][0].labels.items()
    head, found = [axis, 'pairs'], []
    for column in columns:
        title, metric = COLUMNS[column][:2]
        head += [f'{title}, − {first}', 'p']
        found.append(against(
            [row._replace(labels={**row.labels, 'study': name})
             for name, rows in zip(names, studies)
             for row in choose(rows, metric)], axis, first))
    lines = []
    for arm, test in found[0].items():
        line = [arm, str(test.pairs)]
        for each in found:
            line += [difference(each[arm]), p_value(each[arm])]
        lines.append(line)
    return markdown_table(head, lines)


def page(text):
    """The page with its tables as they have to be.

    Args:
        text (str): The page with any tables.
    """
    def block(found):
        names, columns = found[1].split('+'), found[2].split()
        made = (table(*names, columns) if len(names) == 1
                else table_of_differences(names, columns))
        return (f'<!-- table {found[1]} {found[2]} -->\n'
                f'{made.replace("-0.0 ", " 0.0 ")}\n<!-- end -->')

    return BLOCK.sub(block, text)


if __name__ == '__main__':
    PAGE.write_text(page(PAGE.read_text(encoding='utf-8')), encoding='utf-8')
    print(f'wrote {PAGE}')
