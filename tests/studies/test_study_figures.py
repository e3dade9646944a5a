# Copyright (c) OpenMMLab. All rights reserved.
"""Numbers of a table as figures and tests; nothing is trained."""
import math

import pytest
from scipy import stats

from sbam_mm.errors import UserError
from sbam_mm.studies.figure_kinds import diagrams
from sbam_mm.studies.figures import draw, grouped
from sbam_mm.studies.rows import Row
from sbam_mm.studies.statistics import against, paired
from sbam_mm.studies.table import choose, training_rows

pytestmark = pytest.mark.unit

AXES = dict(masker=dict(random={}, sbam={}), ratio={'0.6': {}, '0.75': {}})


def table(seeds=3):
    """Accuracies over two axes and epochs, with a little noise of seeds."""
    return [
        Row(dict(masker=masker, ratio=ratio), f'{masker}{ratio}{seed}', seed,
            epoch, 'knn', 'avg', 30. + epoch + 2 * (masker == 'sbam')
            + 10 * float(ratio) + math.sin(7 * seed + epoch))
        for masker in AXES['masker'] for ratio in AXES['ratio']
        for seed in range(seeds) for epoch in (1, 2)
    ]


@pytest.mark.parametrize('content, axes', [
    (dict(kind='lines', x='epoch', by='masker', metric='knn/avg'), 1),
    (dict(kind='lines', x='ratio', by='masker', metric='knn/avg'), 1),
    (dict(kind='lines', x='epoch', by='metric', metric=['knn/avg'] * 2), 1),
    (dict(kind='points', x='masker', by='ratio', metric='knn/avg'), 1),
    (dict(kind='bars', x='masker', metric=['knn/avg', 'knn/avg']), 2),
    (dict(kind='points', x=['masker', 'ratio'], metric='knn/avg'), 2),
    # Of its own and of the scale.
    (dict(kind='heat', x='masker', y='ratio', metric='knn/avg'), 2),
    (dict(kind='pimr', x='ratio', by='masker', metric='knn/avg'), 3),
    (dict(kind='points', x='masker', metric='knn/avg', at=1,
          where=dict(ratio=['0.6'])), 1),
])
def test_every_kind_is_drawn(content, axes):
    figure = draw(diagrams(content), table(), AXES)
    assert len(figure.axes) == axes
    figure.canvas.draw()
    if content['kind'] != 'pimr':
        assert any('runs each' in text for axis in figure.axes for text in
                   (axis.get_title(), axis.get_title('left')))


def test_lines_are_means_of_the_last_epoch():
    figure = draw(diagrams(dict(kind='lines', x='ratio', by='masker',
                                metric='knn/avg')), table(), AXES)
    found = {line.get_label(): line.get_xydata().tolist()
             for line in figure.axes[0].get_lines()}
    means = grouped(choose(table(), 'knn/avg'), 'masker', 'ratio')
    for masker in AXES['masker']:
        assert found[masker] == [
            [float(ratio), means[masker, ratio].mean]
            for ratio in AXES['ratio']]


def test_bars_begin_at_zero():
    figure = draw(diagrams(dict(kind='bars', x='masker', metric='knn/avg')),
                  table(), AXES)
    assert figure.axes[0].get_ylim()[0] == 0


def test_pairs_share_seed_and_other_labels():
    rows = choose(table(), 'knn/avg')
    test = against(rows, 'masker', 'random')['sbam']
    # Noise is of the seed alone, so it cancels.
    assert test.pairs == 6 and test.mean == pytest.approx(2)
    # What has no partner is left out.
    rows = [row for row in rows if (row.labels['masker'], row.seed) != (
        'random', 0)]
    assert against(rows, 'masker', 'random')['sbam'].pairs == 4
    assert against(rows, 'masker', 'nothing') == {}


def test_p_values_are_those_of_scipy_where_n_allows():
    values = [1., .5, 2., -.3, .8, 1.1]
    found = paired(values)
    assert found.t == pytest.approx(
        stats.ttest_rel(values, [0.] * 6).pvalue)
    assert found.wilcoxon == pytest.approx(stats.wilcoxon(values).pvalue)
    assert math.isnan(paired(values[:5]).wilcoxon)
    assert math.isnan(paired(values[:2]).t)
    assert math.isnan(paired([1., 1., 1.]).t)


def test_a_metric_that_is_not_there_is_a_sentence():
    with pytest.raises(ValueError, match="'knn/cls'; there is 'knn/avg'"):
        choose(table(), 'knn/cls')


@pytest.mark.parametrize('kind', ['lines', 'points', 'bars', 'heat', 'pimr'])
def test_a_figure_of_cells_that_are_still_to_come_is_a_sentence(kind):
    content = dict(kind=kind, x='ratio', by='masker', y='masker',
                   metric='knn/avg', where=dict(masker=['sbm', 'attmask']))
    rows = [row for row in table() if row.labels['masker'] == 'random']
    with pytest.raises(
            UserError, match="a finite 'knn/avg' of masker sbm or attmask"):
        draw(diagrams(content), rows, AXES)
    with pytest.raises(UserError, match="'knn/avg' of epoch 99"):
        choose(rows, 'knn/avg', at=99)
    diverged = [row._replace(value=math.nan) for row in rows]
    with pytest.raises(UserError, match="a finite 'knn/avg'[.]"):
        choose(diverged, 'knn/avg')


def test_steps_of_an_epoch_are_averaged():
    records = [dict(epoch=1, step=1, loss=1., time=9.),
               dict(epoch=1, step=2, loss=3., time=.5),
               dict(epoch=2, step=3, loss=1., time=.25),
               dict(epoch=2, step=4, loss=1., time=.5)]
    assert list(training_rows(records, 8)) == [
        (1, 'loss', 2.), (2, 'loss', 1.), (2, 'images_per_second', 16.)]
