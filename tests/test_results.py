# Copyright (c) OpenMMLab. All rights reserved.
"""docs/results.md has the numbers of the tables beside it."""
import importlib.util
import json
from pathlib import Path

import pytest

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
    """Of as many runs each: the mean of their differences."""
    def cells(text):
        lines = text.strip().splitlines()[2:]
        return {cell[0]: cell[1:] for cell in (
            [part.strip().strip('*') for part in line.strip('|').split('|')]
            for line in lines)}

    names = ['maskers_stl10', 'maskers_cifar10']
    both = cells(make.table_of_differences(names, ['kNN', 'linear']))
    each = [cells(make.table(name, ['kNN*', 'linear*'])) for name in names]
    assert len(both) == 18 and {line[0] for line in both.values()} == {'6'}
    for arm, line in both.items():
        for column, place in (1, 2), (3, 4):
            mean, error = map(float, line[column].split(' ± '))
            apart = [float(one[arm][place].strip('*').split(' ± ')[0])
                     for one in each]
            assert mean == pytest.approx(sum(apart) / 2, abs=.101), arm
            assert error > 0
