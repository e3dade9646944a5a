# Copyright (c) OpenMMLab. All rights reserved.
"""A study of real trainings on a dozen photographs: run, killed, gone on."""
import ast
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image
from started_tools import call_tool
from tiny_configs import mae

from sbam_mm.engine.run_lock import RunLock
from sbam_mm.engine.schedule import set_epochs
from sbam_mm.masking import MaskingContext
from sbam_mm.masking.named_maskers import at_ratio, masker_config, masker_names
from sbam_mm.registry import MODELS
from sbam_mm.studies import Study, read_study, study
from sbam_mm.visualization import (
    center_crop,
    photographs,
    read_scalars,
)

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / 'configs/studies').rglob('*.py'))
SMALL = 'configs/small/mae_small.py'
STUDY = dict(
    config='tiny.py', options={'epochs': 2},
    axes=dict(masker=dict(random='random', SBM='sbm')), seeds=[0],
    stages=[dict(protocol='knn', at='all', settings=dict(k=3))],
    baseline=dict(masker='random'),
    figures=dict(
        knn=dict(kind='lines', x='epoch', by='masker',
                 metric='knn/avg, k=3')))

pytestmark = pytest.mark.integration

# Ends the process of the training as the system does when memory is short;
# and a training that is built and cannot go on.
HOOK = """
import os, signal
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from sbam_mm.errors import UserError


@HOOKS.register_module()
class EndInEpoch(Hook):

    def before_train(self, runner):
        if type(runner.model.masker).__name__ == 'SBM':
            raise UserError('a sentence of a training.')

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if str(runner.epoch) == os.environ.get('END_IN_EPOCH'):
            os.kill(os.getpid(), signal.SIGKILL)
"""


def write_study(path, **changes):
    """A study file; None takes a name out."""
    content = {**STUDY, **changes}
    path.write_text(''.join(f'{name} = {value!r}\n' for name, value in
                            content.items() if value is not None))
    return path


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """Photographs in class folders and a config for them, and a study."""
    folder = tmp_path_factory.mktemp('grid')
    for part, crops in (('train', 3), ('test', 1)):
        for name, picture in photographs().items():
            target = folder / 'images' / part / name
            target.mkdir(parents=True)
            for i in range(crops):
                crop = center_crop(picture, 32 + 16 * i)
                Image.fromarray(crop).save(target / f'{i}.png')
    cfg = Config.fromfile(ROOT / SMALL)
    mae(cfg.model)
    cfg.train_dataloader.update(batch_size=4, num_workers=0)
    for part, name in ((cfg.train_dataloader.dataset, 'train'),
                       (cfg.custom_hooks[-1].bank, 'train'),
                       (cfg.custom_hooks[-1].query, 'test')):
        part.update(data_root=str(folder / 'images'), data_prefix=name)
    cfg.custom_hooks[-1].update(k=3, at_start=False)
    cfg.custom_hooks.append(dict(type='EndInEpoch'))
    cfg.custom_imports = dict(imports=['end_in_epoch'])
    cfg.param_scheduler = []
    cfg.dump(folder / 'tiny.py')
    (folder / 'end_in_epoch.py').write_text(HOOK)
    (folder / 'empty.py').write_text('lr = 1')
    (folder / 'grid.py').write_text(
        "config = 'tiny.py'\nmaskers = ['random', 'SBM']\nratios = [0.5]\n"
        'seeds = [0]\nepochs = 2\n')
    write_study(folder / 'study.py')
    return folder


@pytest.fixture
def env(project, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(project))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.syspath_prepend(project)
    monkeypatch.chdir(project)
    return monkeypatch


def rows(folder):
    """The table, by masker, epoch and metric."""
    with open(folder / 'study.csv', encoding='utf-8') as file:
        return {(row['masker'], int(row['epoch']),
                 f'{row["protocol"]}/{row["metric"]}'): row
                for row in csv.DictReader(file)}


def cell_of(work, name='masker random, seed 0', stem='study'):
    """Folder of a cell, and what is known of it."""
    state = json.loads((work / f'{stem}.json').read_text())
    mark = state['cells'][name]
    return work / 'cells' / mark, state['results'][mark]


@pytest.fixture(scope='module')
def life(project):
    """A study is called three times; what it had said and done each time."""
    work = project / 'work'
    said, known, weights, pages = [], [], [], []
    for end in ('1', '', ''):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv('PYTHONPATH', os.pathsep.join([
                str(project), os.environ.get('PYTHONPATH', '')]))
            patch.setenv('OMP_NUM_THREADS', '1')
            patch.setenv('CUDA_VISIBLE_DEVICES', '')
            patch.setenv('END_IN_EPOCH', end)
            patch.syspath_prepend(project)
            patch.chdir(project)
            picture = work / 'study-knn.png'
            if len(said) == 1:  # the second call cannot write it
                picture.mkdir()
            said.append(call_tool('study', 'study.py', '--work-dir', work))
            if picture.is_dir():
                picture.rmdir()
        known.append([cell_of(work, f'masker {name}, seed 0')[1]
                      for name in ('random', 'SBM')])
        pages.append((work / 'study.md').read_text())
        path = cell_of(work)[0] / 'epoch_2.pth'
        weights.append(path.stat().st_mtime_ns if path.exists() else None)
    return work, said, known, weights, pages


def test_failures_are_recorded_and_stop_nothing(life):
    _, said, known, *_ = life
    assert said[0].code == 1
    random, sbm = known[0]
    assert random['status'] == sbm['status'] == 'failed'
    assert 'SIGKILL' in random['error']
    assert sbm['error'] == 'a sentence of a training.'
    # At the end, with the last line of the log.
    last = said[0].out.splitlines()
    assert ('Not finished: masker SBM, seed 0: a sentence of a training.'
            in last)
    assert any(line.startswith('Not finished: masker random') for line in last)


def test_goes_on_from_the_last_checkpoint(life):
    work, said, known, *_ = life
    assert said[1].code == 2 and 'masker random, seed 0: finished' in (
        said[1].out)
    folder, _ = cell_of(work)
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    assert len(logs) == 2
    # The second part trained the second epoch and no other.
    steps = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    assert {s['epoch'] for s in steps if 'loss' in s} == {2}
    before, after = known[0][0], known[1][0]
    assert after['status'] == 'finished' and after['error'] == ''
    assert after['seconds'] > before['seconds']
    assert after['started'] == before['started']
    page = (work / 'study.md').read_text()
    assert ('- Left out: masker SBM, seed 0 (failed: a sentence of a '
            'training.)' in page)


def test_a_report_that_cannot_be_written_stops_no_cell(life):
    _, said, known, _, pages = life
    lines = said[1].out.splitlines()
    failed = [line for line in lines if 'No report of what is' in line]
    # After each of the two cells.
    assert len(failed) == 2
    assert all('study-knn.png is a folder' in line for line in failed)
    assert any(line.startswith('[2/2] ') for line in lines)
    # What it was is known all the same, and the page stays as it was.
    assert known[1][0]['status'] == 'finished'
    assert pages[1] == pages[0] != ''


def test_the_table_says_what_was_run(life):
    work, _, known, *_ = life
    table, (folder, result) = rows(work), cell_of(work)
    assert {name for name, *_ in table} == {'random'}
    records = read_scalars(folder)
    knn = [r['knn_top1'] for r in records if 'knn_top1' in r]
    assert [float(table['random', epoch, 'training/knn_top1']['value'])
            for epoch in (1, 2)] == pytest.approx(knn, rel=1e-5)

    def value(metric, epoch=2):
        return float(table['random', epoch, metric]['value'])

    assert value('training/visible_tokens') == 4  # of 16
    assert value('training/mask_ratio') == .75
    assert value('training/images_per_second') > 0
    for epoch in (1, 2):
        found = json.loads((folder / f'evaluation/epoch_{epoch}/results.json'
                            ).read_text())['protocols']['knn']['top1']
        assert value('knn/avg, k=3', epoch) == pytest.approx(
            found['avg, k=3'], rel=1e-5)
        assert not (folder / f'evaluation/epoch_{epoch}/features').exists()
    row = table['random', 2, 'knn/avg, k=3']
    assert row['seed'] == '0' and row['cell'] == folder.name
    for words, key in (('torch 2', 'versions'), ('mmengine', 'versions'),
                       ('cores', 'hardware')):
        assert words in result[key]
    # What was run is the config that the hash stands for.
    cfg = Config.fromfile(folder / 'run_config.py')
    assert cfg.model.masker == dict(type='sbam_mm.RandomMasker', ratio=.75)
    assert cfg.train_cfg.max_epochs == 2 and cfg.randomness.seed == 0
    with Image.open(work / 'study-knn.png') as image:
        assert image.width > 300


def test_finished_cells_are_skipped(life):
    work, said, known, weights, _ = life
    assert 'random' not in said[2].out.partition('Not finished')[0]
    assert '1 of 2 cells to do' in said[2].out
    assert known[2][0] == known[1][0]
    assert weights[2] == weights[1] is not None


def test_dry_run_lists_and_estimates(life, env):
    work = life[0]
    listed = sorted(work.rglob('*'))
    ended = call_tool('study', 'study.py', '--work-dir', work, '--dry-run')
    assert ended.code == 0 and sorted(work.rglob('*')) == listed
    lines = [line.split() for line in ended.out.splitlines()]
    assert ['masker', 'random,', 'seed', '0', 'finished'] in lines
    assert ['masker', 'SBM,', 'seed', '0', 'failed'] in lines
    # Both cells have as many epochs.
    seconds = life[2][2][0]['seconds']
    assert f'1 of 2 cells to do; about {seconds:.0f} s.' in ended.out
    ended = call_tool('study', 'study.py', '--work-dir', 'new', '--dry-run')
    assert '2 of 2 cells to do; how long is known after the' in ended.out
    assert not Path('new').exists()


def test_a_cell_of_another_process_is_left_alone(life, env):
    work = life[0]
    folder, result = cell_of(work, 'masker SBM, seed 0')
    with RunLock(folder / 'cell.lock'):
        ended = call_tool('study', 'study.py', '--work-dir', work)
    assert ended.code == 1
    assert 'another process is working on it' in ended.out
    assert cell_of(work, 'masker SBM, seed 0')[1] == result


def test_a_changed_study_is_not_mixed_in(life, env):
    Path('changed').mkdir()
    longer = write_study(Path('changed/study.py'), options={'epochs': 3},
                         config='../tiny.py')
    ended = call_tool('study', longer, '--work-dir', life[0])
    assert ended.code == 2 and ended.err.count('\n') == 1
    assert 'the study has changed under (masker random, seed 0)' in ended.err
    assert 'train_cfg.max_epochs 2 -> 3' in ended.err
    assert '--changed' in ended.err
    ended = call_tool('study', longer, '--work-dir', life[0], '--changed',
                      '--dry-run')
    assert ended.code == 0 and '2 of 2 cells to do' in ended.out
    # A cell that failed before its first epoch has nothing to lose.
    failed = write_study(Path('changed/study.py'), options={'epochs': 3},
                         config='../tiny.py', axes=dict(masker=dict(
                             SBM='sbm')), baseline=None)
    ended = call_tool('study', failed, '--work-dir', life[0], '--dry-run')
    assert ended.code == 0 and '1 of 1 cells to do' in ended.out
    # What is measured may change: it is done again, or refused.
    more = write_study(Path('changed/study.py'), config='../tiny.py', stages=[
        *STUDY['stages'], dict(protocol='linear-sweep')])
    ended = call_tool('study', more, '--work-dir', life[0], '--dry-run')
    assert ['masker', 'random,', 'seed', '0', 'to', 'do'] in [
        line.split() for line in ended.out.splitlines()]
    other = write_study(Path('changed/study.py'), config='../tiny.py', stages=[
        dict(protocol='knn', at='all', settings=dict(k=2))])
    ended = call_tool('study', other, '--work-dir', life[0], '--dry-run')
    assert ended.code == 2 and 'with other settings (k' in ended.err


def test_its_table_is_enough(life, env):
    """Of cells whose folder is deleted, or on another machine."""
    copy = Path('copied')
    copy.mkdir()
    for name in ('study.csv', 'study.json'):
        shutil.copy(life[0] / name, copy)
    before = rows(copy), json.loads((copy / 'study.json').read_text())

    def status(file='study.py'):
        ended = call_tool('study', file, '--work-dir', copy, '--dry-run')
        return ended.code or next(
            line.split(maxsplit=4)[4].strip()
            for line in ended.out.splitlines() if 'random' in line)

    assert status() == 'finished'
    assert call_tool('study', 'study.py', '--work-dir', copy,
                     '--draw-only').code == 0
    after = rows(copy), json.loads((copy / 'study.json').read_text())
    mark = after[1]['cells']['masker random, seed 0']
    assert after[0] == before[0]
    assert after[1]['results'][mark] == before[1]['results'][mark]
    # What the table has not got is measured, and it goes with the training.
    Path('more').mkdir()
    more = write_study(Path('more/study.py'), config='../tiny.py', stages=[
        dict(protocol='knn', at='all', settings=dict(k=2))])
    assert status(more) == 'to do'
    changed = write_study(Path('more/study.py'), config='../tiny.py',
                          options={'epochs': 3})
    ended = call_tool('study', changed, '--work-dir', copy)
    assert ended.code == 2 and 'whose numbers are in' in ended.err
    text = (copy / 'study.csv').read_text()
    (copy / 'study.csv').write_text(text[:text.rindex(',')])
    ended = call_tool('study', 'study.py', '--work-dir', copy)
    assert ended.code == 2 and ended.err.count('\n') == 1
    assert 'study.csv is no table of a study' in ended.err


def test_speed_of_its_arms(life, env):
    def start(file):
        return call_tool(
            'benchmarks/study_steps', file, '--work-dir', life[0],
            '--rounds', '2', '--steps', '1', '--out', 'speed')

    refused = start('study.py')
    assert refused.code == 2
    assert ('has no finished masker SBM, seed 0; run tools/study.py first'
            in refused.err)
    weights = (cell_of(life[0])[0] / 'epoch_2.pth').read_bytes()
    alone = write_study(Path('alone.py'), axes=dict(masker=dict(
        random='random')))
    ended = start(alone)
    assert ended.code == 0, ended.err
    found = json.loads(Path('speed.json').read_text())
    times = found['seconds']['random']
    assert len(times) == 2
    # Batches of 4 photographs.
    assert found['images_per_second']['random'][0] == pytest.approx(
        sum(4 / t for t in times) / 2)
    assert found['step']['random'] == [1, 1, 1]
    assert (cell_of(life[0])[0] / 'epoch_2.pth').read_bytes() == weights


def test_told_to_end_it_ends_the_training(project, env):
    """No process stays behind, and the cell counts as interrupted."""
    work = project / 'ended'
    process = subprocess.Popen(
        [sys.executable, ROOT / 'tools/study.py', 'study.py', '--work-dir',
         work],
        env=dict(os.environ,
                 PYTHONPATH=os.pathsep.join([str(project), str(ROOT)])),
        stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 200
        while not list(work.glob('cells/*/result.json')):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(.05)
        process.terminate()
        assert process.wait(60) == 143
    finally:
        process.kill()
    path, = work.glob('cells/*/result.json')
    assert json.loads(path.read_text())['status'] == 'interrupted'
    # A child that lived would still hold the lock.
    with RunLock(path.parent / 'cell.lock'):
        pass


@pytest.mark.slow
def test_slurm_is_handed_an_array(project, env):
    """By submitit, whose jobs are processes of this machine here."""
    submitit = pytest.importorskip('submitit')
    env.setenv('PYTHONPATH', os.pathsep.join(
        [str(project), str(ROOT), str(Path(submitit.__file__).parents[1])]))
    work = project / 'slurm'
    ended = call_tool('study', 'study.py', '--work-dir', work, '--slurm',
                      'cluster=local', 'timeout_min=5')
    assert ended.code == 0 and 'Submitted: ' in ended.out
    deadline = time.monotonic() + 200
    known = {}
    while set(known.values()) != {'finished', 'failed'}:
        assert time.monotonic() < deadline, known
        time.sleep(1)
        call_tool('study', 'study.py', '--work-dir', work, '--draw-only')
        known = {name: cell_of(work, f'masker {name}, seed 0')[1]['status']
                 for name in ('random', 'SBM')}
    assert known == dict(random='finished', SBM='failed')
    # Nothing is trained here where there is no SLURM.
    ended = call_tool('study', 'study.py', '--work-dir', project / 'none',
                      '--slurm')
    assert ended.code == 2 and ended.err.count('\n') == 1


def test_studies_share_their_cells(life, env):
    """Of the same folder; what was called a grid is one, too."""
    write_study(Path('shared.py'), seeds=[0, 1],
                axes=dict(masker=dict(plain='random')),
                baseline=dict(masker='plain'))
    ended = call_tool('study', 'shared.py', '--work-dir', life[0],
                      '--dry-run')
    assert '1 of 2 cells to do; about' in ended.out
    grid = read_study('grid.py')
    assert [str(cell) for cell in grid.cells] == [
        'masker random, ratio 0.5, seed 0', 'masker SBM, ratio 0.5, seed 0']
    assert grid.rounding == 'floor' and grid.cells[0].epochs == 2


def test_pimr_writes_table_numbers_and_picture(tmp_path):
    table = tmp_path / 'runs.csv'
    table.write_text(
        'masker,ratio,seed,acc\n'
        'mae,0.6,0,59\nmae,0.6,1,61\nmae,0.75,0,63\nmae,0.75,1,65\n'
        'sbm,0.6,0,68\nsbm,0.6,1,70\nsbm,0.75,0,69\nsbm,0.75,1,71\n')
    ended = call_tool('pimr', table, '--metric', 'acc')
    page = (tmp_path / 'pimr.md').read_text()
    assert ended.code == 0 and page in ended.out
    cells = [[cell.strip() for cell in line.split('|')[1:-1]]
             for line in page.splitlines() if line.startswith('| ')]
    assert cells == [
        ['masker', 'ratio', 'seeds', 'acc', 'PIMR', 'Global PIMR'],
        ['mae', '0.6', '2', '60.00 ± 1.41', '0.00 ± 0.35', '0.00 ± 0.14'],
        ['mae', '0.75', '2', '64.00 ± 1.41', '1.00 ± 0.35', '0.40 ± 0.14'],
        ['sbm', '0.6', '2', '69.00 ± 1.41', '0.00 ± 1.41', '0.90 ± 0.14'],
        ['sbm', '0.75', '2', '70.00 ± 1.41', '1.00 ± 1.41', '1.00 ± 0.14'],
    ]
    assert 'mae 4.00, sbm 1.00' in page
    found = json.loads((tmp_path / 'pimr.json').read_text())
    assert found['notes'] == []
    assert [p['global_pimr'] for masker in found['maskers'].values()
            for p in masker['points']] == pytest.approx([0, .4, .9, 1])
    with Image.open(tmp_path / 'pimr.png') as image:
        image.load()
        assert image.width > 1000


def test_pimr_of_another_file_is_a_sentence(tmp_path):
    (tmp_path / 'other.csv').write_text('a,b\n1,2\n')
    ended = call_tool('pimr', tmp_path / 'other.csv', '--out',
                      tmp_path / 'out')
    assert ended.code == 2
    assert ended.err.startswith('error: ') and ended.err.count('\n') == 1
    assert not list(tmp_path.glob('out*'))


ARMS = dict(a={'masker': 'sbam'}, b={'masker': 'sbam'})
KNN = dict(protocol='knn')
LINES = dict(kind='lines', x='epoch', metric='knn/avg, k=3')


@pytest.mark.parametrize('changes, words', [
    (dict(axes=dict(masker=['sbam', 'foo'])), "there is no masker 'foo'"),
    (dict(axes=dict(masker=['sbam', 'sbam'])), "label 'sbam'"),
    (dict(axes={'ratio': [75]}), 'a masking ratio is a share in [0, 1), got'),
    (dict(axes=dict(masker=['uniform'], ratio=[.5])),
     'masker uniform, ratio 0.5 cannot be run'),
    (dict(axes=dict(masker=['gpa'])), 'GPA asks a trained encoder'),
    (dict(axes={'model.masker.niose': [0, 1]}),
     "'model.masker.niose' is none of"),
    (dict(axes={'modle.masker.noise': [0]}), "did you mean 'model'?"),
    (dict(axes={'train_cfg.max_epoch': [3]}),
     "did you mean 'train_cfg.max_epochs'?"),
    (dict(axes=dict(maskers=['sbm'])), "(Did you mean 'masker'?)"),
    (dict(axes={}), 'has no axis'),
    (dict(axes=dict(masker=[])), 'has no values'),
    (dict(axes=dict(seed=dict(a={}))), "cannot be called 'seed'"),
    (dict(axes=dict(arm=ARMS)), 'are the same training'),
    (dict(axes={'model.neck.embed_dim': [7]}), 'not the width of the enc'),
    (dict(seeds=[0, 1, 0]), 'the seed 0 is there twice'),
    (dict(seeds=[-1]), 'a seed is a whole number from 0, got -1'),
    (dict(seeds=[]), 'the study has no seed'),
    (dict(seeds=None, sedes=[0]), "sets 'sedes'; did you mean 'seeds'?"),
    (dict(seeds=None), 'it has no seeds'),
    (dict(exclude=[dict(masker='foo')]), "no label of the axis 'masker'"),
    (dict(exclude=[dict(foo='random')]), "the study has no axis 'foo'"),
    (dict(exclude=[dict(masker=['random', 'SBM'])]), 'leaves nothing'),
    (dict(rounding='round'), '"floor", "ceil" or None'),
    (dict(stages=[dict(protocol='knnn')]), "protocol 'knnn' is unknown"),
    (dict(stages=[dict(KNN, at=[3])]), 'epoch 3 of trainings that have 2'),
    (dict(stages=[dict(KNN, at='first')]), "has at='first'"),
    (dict(stages=[dict(KNN, settings=dict(kk=3))]), 'knn.kk'),
    (dict(stages=[dict(KNN, when=3)]), 'a stage has protocol, at'),
    (dict(figures=dict(a=dict(LINES, kind='line'))), "kind='line'"),
    (dict(figures=dict(a=dict(LINES, x='foo'))), "x='foo', which is no axis"),
    (dict(figures=dict(a=dict(LINES, x=['epoch', 'foo']))), "x='foo', which"),
    (dict(figures=dict(a=dict(LINES, x=[]))), 'x=[], which is no axis'),
    (dict(figures=dict(a=dict(LINES, x=['epoch'], metric=['a/b', 'a/c']))),
     'has 2 metrics'),
    (dict(figures=dict(a=dict(kind='heat', x=['masker'], y='masker',
                              metric='a/b'))), "x=['masker'], which is no"),
    (dict(figures=dict(a=dict(kind='lines', x='epoch'))), 'lacks metric'),
    (dict(figures=dict(a=dict(LINES, colour=1))), "has no option 'colour'"),
    (dict(figures=dict(a=dict(LINES, label=['a', 'b']))), '2 labels for 1'),
    (dict(figures=dict(a=dict(LINES, where=dict(masker='x')))), "'x'"),
    (dict(figures=dict(a=dict(kind='pimr', x='masker', by='masker',
                              metric='a/b'))), "'random' is no number"),
    (dict(baseline=dict(masker='randon')), "(Did you mean 'random'?)"),
    (dict(config='none.py'), 'does not exist'),
    (dict(config='empty.py'), 'no train_dataloader'),
    (dict(config=None), 'the study has no config'),
    (dict(options=dict(epochs=0)), 'at least 1 epoch, got 0'),
])
def test_bad_input_gets_a_sentence(project, env, changes, words):
    env.chdir(project)
    if 'axes' in changes:  # which the others are about
        changes = dict(baseline=None, figures={}) | changes
    path = write_study(project / 'bad.py', **changes)
    ended = call_tool('study', path, '--work-dir', 'nowhere')
    assert ended.code == 2
    assert ended.err.startswith('error: ') and words in ended.err
    assert ended.err.count('\n') == 1
    assert not (project / 'nowhere').exists()


def small_study(**changes):
    return Study(**{
        **dict(config=str(ROOT / SMALL),
               axes=dict(masker=['random', 'sbam'], ratio=[.6, .9]),
               seeds=[0, 1]), **changes
    })


def test_cells_are_balanced():
    cells = small_study().cells
    assert len({cell.hash for cell in cells}) == 8
    assert {c.seed for c in cells[:4]} == {0}


def test_only_what_is_varied_differs():
    cells = small_study().cells
    kept = set()
    for cell in cells:
        masker = cell.config.model.masker
        assert masker.ratio == float(cell.labels['ratio'])
        assert cell.config.randomness.seed == cell.seed
        kept.add(json.dumps({
            name: value for name, value in cell.content.items()
            if not name.startswith(('model.masker', 'randomness.seed'))}))
        # AMR keeps its range where there is room for it.
        if cell.labels['masker'] == 'sbam':
            assert masker == dict(
                type='sbam_mm.SBAM', ratio=masker.ratio,
                delta_r={.6: .15, .9: .09}[masker.ratio])
    assert len(kept) == 1


def test_where_images_lie_does_not_count(tmp_path, monkeypatch):
    monkeypatch.delenv('DATA_ROOT', raising=False)
    marks = {small_study(data_root=root).cells[0].hash
             for root in (None, str(tmp_path))}
    stages = [dict(protocol='knn', at=[1])]
    marks.add(small_study(stages=stages).cells[0].hash)
    assert len(marks) == 1


@pytest.mark.parametrize('rounding, visible', [
    ('floor', {.45: 35, .6: 25, .75: 16, .9: 6}),
    ('ceil', {.45: 36, .6: 26, .75: 16, .9: 7}),
])
def test_all_maskers_of_a_study_keep_the_same_number(rounding, visible):
    names = ['random', 'sbm', 'incoming', 'block', 'automae']
    found = small_study(axes=dict(masker=names, ratio=list(visible)),
                        seeds=[0], rounding=rounding)
    context = MaskingContext(torch.randn(2, 64, 8), grid=(8, 8))
    for cell in found.cells:
        masker = MODELS.build(cell.config.model.masker)
        assert masker(context).num_visible == (
            visible[float(cell.labels['ratio'])]), str(cell)


def test_the_masker_of_the_config_keeps_its_options():
    found = small_study(config=str(ROOT / 'configs/small/sbam_small.py'),
                        axes=dict(masker=['random', 'sbam']),
                        options={'ratio': .7})
    noise = {cell.labels['masker']: cell.config.model.masker.get('noise')
             for cell in found.cells}
    assert noise == dict(random=None, sbam=.5)


def test_around_views_that_stay_whole():
    """iBOT leaves half the views whole, whatever the masker."""
    config = ROOT / 'configs/ibot/ibot_vitb_sbam_100e.py'
    before = Config.fromfile(config).model.masker
    masker = small_study(
        config=str(config), axes=dict(masker=['random'], ratio=[.3]),
        seeds=[0]).cells[0].config.model.masker
    assert masker.pop('masker') == dict(type='sbam_mm.RandomMasker', ratio=.3)
    before.pop('masker')
    assert masker == before


def test_one_option_at_a_time():
    axes = {'model.masker.noise': [0, .5, 1],
            'model.masker.delta': [.1, .2, .3]}
    found = small_study(options=dict(masker='sbam'), axes=axes, seeds=[0],
                        around={'model.masker.noise': .5,
                                'model.masker.delta': .1})
    assert [tuple(cell.labels.values()) for cell in found.cells] == [
        ('0', '0.1'), ('0.5', '0.1'), ('0.5', '0.2'), ('0.5', '0.3'),
        ('1', '0.1')]
    shown = study.shown(found, dict(x=list(axes), metric='knn/avg'))
    assert [(one['x'], one['where']) for one in shown] == [
        ('model.masker.noise', {'model.masker.delta': ['0.1']}),
        ('model.masker.delta', {'model.masker.noise': ['0.5']})]


def test_options_move_together_and_parts_are_replaced():
    found = small_study(axes=dict(arm=dict(
        short={'epochs': 1, 'model.masker': dict(type='sbam_mm.SBM')},
        long={'epochs': 8, 'model.masker.rounding': 'ceil'})), seeds=[0])
    short, long = (cell.config for cell in found.cells)
    assert short.train_cfg.max_epochs == 1
    assert short.model.masker == dict(type='sbam_mm.SBM')
    assert long.train_cfg.max_epochs == long.param_scheduler[1].end == 8
    assert long.model.masker.rounding == 'ceil'


def test_every_named_masker_takes_the_rounding_of_a_comparison():
    for name, config in masker_names().items():
        if name in ('uniform', 'grid', 'i-jepa'):  # their ratio is a shape's
            continue
        for rounding in ('floor', 'ceil'):
            masker = MODELS.build(at_ratio(config, .75, rounding))
            # A ratio for each image has no number in common with others.
            varies = name in ('sbam', 'sbam-batch', 'random-ratio')
            assert masker.ratio.rounding == ('ceil' if varies else rounding)


def test_what_masks_until_there_are_maps_has_the_ratio_of_the_cell():
    am = MODELS.build(at_ratio(masker_config('am'), .9))
    assert am.warm_up.ratio.ratio == .9
    # Of the tokens that AMT does not throw, as many are masked.
    amt = MODELS.build(at_ratio(masker_config('amt'), .45))
    assert amt.warm_up.ratio.ratio == .75


@pytest.mark.parametrize('epochs', [1, 4, 40])
def test_schedules_follow_the_number_of_epochs(epochs):
    cfg = Config.fromfile(ROOT / SMALL)
    set_epochs(cfg, epochs, iterations=20)
    warm_up, cosine = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == cosine.end == epochs
    assert warm_up.begin == 0
    assert warm_up.end == cosine.begin == pytest.approx(.1 * epochs)
    assert cosine.T_max == pytest.approx(.9 * epochs)
    short = Config.fromfile(ROOT / SMALL)
    set_epochs(short, 1, iterations=2)
    # One iteration of two; the rest is the cosine's.
    assert short.param_scheduler[0].end == short.param_scheduler[1].T_max == .5


@pytest.mark.parametrize('path', STUDIES, ids=lambda path: path.name)
def test_published_studies(path, monkeypatch):
    # Teachers and maps of other projects are not here.
    monkeypatch.setattr(study, 'check_buildable', lambda cfg: None)
    doc = ast.get_docstring(ast.parse(path.read_text()))
    for name in ('Paper:', 'Expected:', 'Cost:', 'Command:'):
        assert name in doc
    assert path.relative_to(ROOT).as_posix() in doc.split('Command:')[1]
    found = read_study(path)
    assert found.figures
    if 'Cost:     none' not in doc:
        assert f'{len(found.cells)} cells' in doc


@pytest.mark.parametrize('teacher', [
    None, '/somewhere/else/vit_small_patch14.safetensors'])
def test_a_teacher_counts_by_the_name_of_its_file(monkeypatch, teacher):
    """Measured results are recognised wherever the teacher lies, or not."""
    monkeypatch.setattr(study, 'check_buildable', lambda cfg: None)
    monkeypatch.delenv('TEACHER', raising=False)
    if teacher:
        monkeypatch.setenv('TEACHER', teacher)
    found = read_study(
        ROOT / 'configs/studies/small/teacher_vits14_stl10.py', 'data/stl10')
    measured = json.loads(
        (ROOT / 'docs/results/teacher_vits14_stl10.json').read_text())
    assert {cell.hash for cell in found.cells} == measured['results'].keys()
