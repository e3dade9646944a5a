# Copyright (c) OpenMMLab. All rights reserved.
"""PIMR against tables worked out by hand, and the tables it is read from."""
import json
import math
import statistics

import pytest

from sbam_mm.evaluation.pimr import Run, caveats, curves, global_pimr, pimr
from sbam_mm.evaluation.run_table import COLUMNS, read_runs, write_run_table
from sbam_mm.visualization.robustness import robustness_figure

pytestmark = pytest.mark.unit

# Two methods at four ratios. Ranges: random 60 to 68, sbm 66 to 70; of both,
# 60 to 70.
MEANS = {
    'random': {.45: 60., .6: 64., .75: 68., .9: 62.},
    'sbm': {.45: 66., .6: 69., .75: 70., .9: 68.},
}
PIMR = {'random': [0, .5, 1, .25], 'sbm': [0, .75, 1, .5]}
GLOBAL = {'random': [0, .4, .8, .2], 'sbm': [.6, .9, 1, .8]}


def table(seeds=(0, ), spread=0.):
    """MEANS as runs; seeds lie around them at equal distances."""
    middle = statistics.mean(seeds)
    return [
        Run(masker, ratio, seed, value + spread * (seed - middle))
        for masker, points in MEANS.items() for ratio, value in points.items()
        for seed in seeds
    ]


def test_equations_5_and_6_by_hand():
    found = global_pimr(MEANS)
    for masker, points in MEANS.items():
        assert list(pimr(points).values()) == pytest.approx(PIMR[masker])
        assert list(found[masker].values()) == pytest.approx(GLOBAL[masker])


def test_one_method_alone_has_equal_pimr_and_global_pimr():
    assert global_pimr({'sbm': MEANS['sbm']})['sbm'] == pimr(MEANS['sbm'])


def test_accuracy_in_other_units_changes_nothing():
    """Per cent, shares, or with an offset: PIMR is the same."""
    for scale, shift in ((.01, 0.), (3., -40.)):
        moved = {m: {r: scale * v + shift for r, v in points.items()}
                 for m, points in MEANS.items()}
        for masker, points in global_pimr(moved).items():
            assert list(points.values()) == pytest.approx(GLOBAL[masker])


def test_means_and_spreads_over_seeds():
    found = curves(table(seeds=(0, 1, 2), spread=2.))
    for masker, width in (('random', 8.), ('sbm', 4.)):
        points = found[masker].points
        assert found[masker].spread == width
        assert [p.ratio for p in points] == sorted(MEANS[masker])
        assert [p.mean for p in points] == list(MEANS[masker].values())
        assert [p.pimr for p in points] == pytest.approx(PIMR[masker])
        assert [p.global_pimr for p in points] == pytest.approx(
            GLOBAL[masker])
        for point in points:
            # -2, 0, 2 around the mean.
            assert point.std == 2.
            assert point.pimr_std == 2 / width
            assert point.global_pimr_std == .2
    assert caveats(found) == []


def test_order_of_the_runs_does_not_matter():
    runs = table(seeds=(0, 1), spread=1.)
    one, other = curves(runs), curves(runs[::-1])
    assert {m: one[m] for m in sorted(one)} == {
        m: curve._replace(points=[
            p._replace(values=dict(sorted(p.values.items())))
            for p in curve.points
        ]) for m, curve in sorted(other.items())
    }


def test_what_is_missing_is_said():
    runs = [run for run in table(seeds=(0, 1), spread=1.)
            if run[:3] not in {('sbm', .6, 1), ('random', .9, 0),
                               ('random', .9, 1)}]
    assert caveats(curves(runs)) == [
        'random has no run at ratio 0.9.',
        'sbm at ratio 0.6 lacks seed 1: means are over different seeds.',
    ]


def test_single_seeds_ratios_and_equal_performances():
    found = curves([Run('flat', .6, 0, 50.), Run('flat', .75, 0, 50.),
                    Run('lone', .6, 0, 60.)])
    assert caveats(found) == [
        'lone has no run at ratio 0.75.',
        'There is one seed: differences may be chance.',
        'flat does equally well at all ratios: it has no PIMR.',
        'lone has one ratio: PIMR needs two.',
    ]
    assert math.isnan(found['flat'].points[0].pimr)
    assert math.isnan(found['lone'].points[0].pimr_std)
    # Between methods there is a range.
    assert found['flat'].points[0].global_pimr == 0
    assert found['lone'].points[0].global_pimr == 1


def test_no_runs_and_double_runs_are_refused():
    with pytest.raises(ValueError, match='no finished run'):
        curves([])
    with pytest.raises(ValueError, match='ratio 0.45 with seed 0 is there'):
        curves(table() + table()[:1])


def test_figure_shows_the_values():
    found = curves(table(seeds=(0, 1), spread=1.))
    figure = robustness_figure(found, 'accuracy')
    performance, own, best = figure.axes
    assert performance.get_ylabel() == 'accuracy'
    for i, masker in enumerate(MEANS):
        for axes, values in ((performance, list(MEANS[masker].values())),
                             (own, PIMR[masker]), (best, GLOBAL[masker])):
            line = axes.lines[i]
            assert line.get_label() == masker
            assert list(line.get_xdata()) == sorted(MEANS[masker])
            assert list(line.get_ydata()) == pytest.approx(values)
        seeds = performance.collections[i].get_offsets()
        assert sorted(map(tuple, seeds)) == sorted(
            (run.ratio, run.performance)
            for run in table(seeds=(0, 1), spread=1.)
            if run.masker == masker)


def write(path, runs, **columns):
    write_run_table(path, [
        dict(masker=r.masker, ratio=r.ratio, seed=r.seed, status='finished',
             knn_top1=r.performance, **columns) for r in runs
    ])
    return path


def test_table_round_trip(tmp_path):
    path = write(tmp_path / 'runs.csv', table(), base_hash='abc',
                 error='a, "b"\nc')
    assert read_runs([path]) == (table(), [])
    assert path.read_text().splitlines()[0] == ','.join(COLUMNS)


def test_an_interrupted_write_leaves_the_old_table(tmp_path):
    path = write(tmp_path / 'runs.csv', table())
    before = path.read_bytes()

    def rows():
        yield dict(masker='sbm')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_run_table(path, rows())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unfinished_runs_and_empty_cells_are_left_out(tmp_path):
    path = tmp_path / 'runs.csv'
    path.write_text('masker,ratio,seed,status,acc,error\n'
                    'sbm,0.6,0,finished,70,\n'
                    'sbm,0.75,0,failed,,ValueError: no\n'
                    'sbm,0.9,0,finished,,\n')
    runs, notes = read_runs([path], 'acc')
    assert runs == [Run('sbm', .6, 0, 70.)]
    assert notes == [
        'Left out: sbm at ratio 0.75 with seed 0 (failed: ValueError: no).',
        'Left out: sbm at ratio 0.9 with seed 0 has no acc.',
    ]


def test_other_configurations_are_noticed(tmp_path):
    random = write(tmp_path / 'a.csv', table()[:4], base_hash='abc')
    sbm = write(tmp_path / 'b.csv', table()[4:], base_hash='def')
    runs, notes = read_runs([random, sbm])
    assert runs == table()
    assert len(notes) == 1 and 'budgets are equal' in notes[0]
    longer = write(tmp_path / 'c.csv', [Run('sbm', .3, 0, 9.)],
                   base_hash='ghi')
    with pytest.raises(ValueError, match='runs of sbm differ in more than'):
        read_runs([sbm, longer])


@pytest.mark.parametrize('text, words', [
    (None, 'cannot be read'),
    ('', "no column 'masker' and no 'ratio' and no 'seed' and no 'knn_top1'; "
     'its columns are none'),
    ('masker,ratio,seed,loss\n', "no column 'knn_top1'; its columns are "
     'masker, ratio, seed, loss'),
    ('masker,ratio,seed,knn_top1\nsbm,0.6,0,high\n',
     "line 2: knn_top1 is 'high', which is no number"),
    ('masker,ratio,seed,knn_top1\nsbm,0.6,0,nan\n', 'no number'),
    ('masker,ratio,seed,knn_top1\nsbm,60,0,1\n', r'share in \(0, 1\), got 60'),
    ('masker,ratio,seed,knn_top1\nsbm,0.6\n', 'seed is None'),
    ('masker,ratio,seed,knn_top1\nsbm,.6,0,1\nsbm,0.6,0,2\n',
     'sbm at ratio 0.6 with seed 0 is there twice'),
])
def test_other_files_get_a_sentence(tmp_path, text, words):
    path = tmp_path / 'runs.csv'
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_runs([path])


def test_performance_from_fine_tuning_each_run(tmp_path):
    """What tools/evaluate.py left below every run, in place of a column."""
    rows = []
    for run in table():
        folder = tmp_path / run.masker / f'ratio{run.ratio:g}'
        (folder / 'tuned').mkdir(parents=True)
        top1 = dict(last=run.performance, best=100.)
        (folder / 'tuned/results.json').write_text(json.dumps(
            dict(protocols=dict(finetune=dict(top1=top1)))))
        rows.append(dict(masker=run.masker, ratio=run.ratio, seed=run.seed,
                         status='finished', knn_top1=1, work_dir=str(folder)))
    write_run_table(tmp_path / 'runs.csv', rows)
    runs, notes = read_runs([tmp_path / 'runs.csv'], evaluation='tuned')
    assert sorted(runs) == sorted(table()) and notes == []
    # A run that was not fine-tuned is left out, with a sentence.
    (tmp_path / 'sbm/ratio0.9/tuned/results.json').unlink()
    runs, notes = read_runs([tmp_path / 'runs.csv'], evaluation='tuned')
    assert len(runs) == 7
    assert notes == [
        'Left out: sbm at ratio 0.9 with seed 0 has no finetune_top1.']
