# Copyright (c) OpenMMLab. All rights reserved.
"""docs/results.md has the numbers of the tables beside it."""
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from sbam_mm.studies.record import read_record
from sbam_mm.studies.rows import read_rows

RESULTS = Path(__file__).parents[1] / 'docs/results'
TABLES = sorted(RESULTS.glob('*.csv'))
SPEC = importlib.util.spec_from_file_location('make_results',
                                              RESULTS / 'make.py')
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)

pytestmark = pytest.mark.unit


def test_the_page_is_up_to_date():
    text = make.PAGE.read_text()
    assert len(make.BLOCK.findall(text)) == text.count('<!-- table') > 0
    assert make.page(text) == text, 'run python docs/results/make.py'


@pytest.mark.parametrize('table', TABLES, ids=lambda path: path.stem)
def test_every_number_says_where_it_comes_from(table):
    record, rows = read_record(RESULTS), read_rows(table)
    assert {row.cell for row in rows} <= record.keys()
    for mark in {row.cell for row in rows}:
        result = record[mark].result
        assert result['commit'] and 'torch' in result['versions']
        assert 'cores' in result['hardware']
    state = json.loads(table.with_suffix('.json').read_text())
    study = f'configs/studies/small/{table.stem}.py'
    assert (RESULTS.parents[1] / study).is_file()
    finished = [mark for mark, result in state['results'].items()
                if result['status'] == 'finished']
    assert sorted(finished) == sorted({row.cell for row in rows})


def test_two_studies_together():
    """The numbers of all pairs of runs, worked out by hand."""
    names = ['maskers_stl10', 'maskers_cifar10']
    lines = make.table_of_differences(names, ['kNN', 'linear']).splitlines()
    found = {arm: rest for arm, *rest in (
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in lines[2:] if line)}
    assert len(found) == 18 and 'random' not in found
    rows = [(name, row) for name in names
            for row in read_rows(RESULTS / f'{name}.csv') if row.epoch == 10]
    for metric, place in ('knn/avg, k=20', 1), ('linear-sweep/best', 3):
        values = {(row.labels['masker'], (name, row.seed)): row.value
                  for name, row in rows if row.name == metric}
        least = []
        for arm, line in found.items():
            each = [value - values['random', pair] for (one, pair), value
                    in values.items() if one == arm]
            assert line[0] == str(len(each)) == '6'
            mean, error = map(float, line[place].strip('*').split(' ± '))
            assert mean == pytest.approx(np.mean(each), abs=.0501)
            assert error == pytest.approx(
                np.std(each, ddof=1) / 6 ** .5, abs=.0501)
            p = line[place + 1]
            assert ('**' in line[place]) == (p == '< 0.01' or float(p) < .05)
            least.append((ttest_1samp(each, 0).pvalue, p))
        # Holm multiplies the smallest by their number.
        smallest, p = min(least)
        assert p == ('< 0.01' if 18 * smallest < .01
                     else f'{18 * smallest:.2f}')
