# Copyright (c) OpenMMLab. All rights reserved.
"""A grid of real trainings on a dozen photographs: run, killed, gone on."""
import ast
import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny_configs import mae

from sbam_mm.engine.grid import Cell, Grid, config_hash, read_grid_file, shard
from sbam_mm.engine.run_lock import RunLock
from sbam_mm.engine.schedule import set_epochs
from sbam_mm.masking import MaskingContext
from sbam_mm.masking.named_maskers import at_ratio, masker_config, masker_names
from sbam_mm.registry import MODELS
from sbam_mm.visualization import (
    center_crop,
    photographs,
    read_scalars,
)

ROOT = Path(__file__).resolve().parents[2]
GRIDS = sorted((ROOT / 'configs/grids').glob('*.py'))
SMALL = 'configs/small/mae_small.py'

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


def tool(name):
    """A tool as a module: nobody has to wait for its imports."""
    spec = importlib.util.spec_from_file_location(
        f'tool_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run_grid, pimr = tool('run_grid'), tool('pimr')


def call(module, monkeypatch, *args):
    """Its exit code."""
    monkeypatch.setattr(sys, 'argv', [module.__name__, *map(str, args)])
    before = signal.getsignal(signal.SIGTERM)
    try:
        module.main()
    except SystemExit as end:
        return end.code
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


@pytest.fixture(scope='module')
def project(tmp_path_factory):
    """Photographs in class folders and a config for them, as a grid."""
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
    return folder


@pytest.mark.parametrize('rounding, visible', [
    ('floor', {.45: 35, .6: 25, .75: 16, .9: 6}),
    ('ceil', {.45: 36, .6: 26, .75: 16, .9: 7}),
])
def test_all_maskers_of_a_grid_keep_the_same_number(rounding, visible):
    names = ['random', 'sbm', 'incoming', 'block', 'automae']
    grid = Grid(str(ROOT / SMALL), names, list(visible), [0],
                rounding=rounding)
    context = MaskingContext(torch.randn(2, 64, 8), grid=(8, 8))
    for cell in grid.cells:
        masker = MODELS.build(grid.run_config(cell).model.masker)
        assert masker(context).num_visible == visible[cell.ratio], str(cell)


def test_every_named_masker_takes_the_rounding_of_a_comparison():
    for name, config in masker_names().items():
        if name in ('uniform', 'grid'):  # their ratio is a lattice's
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


def test_a_grid_may_leave_each_masker_its_own_rounding(env):
    path = ROOT / 'configs/grids/pimr_small.py'
    args = [path, '--rounding', 'own']
    env.setattr(sys, 'argv', ['run_grid', *map(str, args)])
    assert run_grid.make_grid(run_grid.parse_args()).rounding is None
    with pytest.raises(ValueError, match='"floor", "ceil" or None'):
        Grid(str(ROOT / SMALL), ['random'], [.5], [0], rounding='round')


@pytest.fixture
def env(project, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(project))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.syspath_prepend(project)
    monkeypatch.chdir(project)
    return monkeypatch


def rows(folder):
    with open(folder / 'runs.csv', encoding='utf-8') as file:
        return {row['masker']: row for row in csv.DictReader(file)}


@pytest.fixture(scope='module')
def life(project):
    """A grid is called three times; what it had said and done each time."""
    work, said, tables = project / 'work', [], []
    seen = {}
    for end, args in (('1', ['grid.py']),
                      ('', ['grid.py', '--maskers', 'random']),
                      ('', ['grid.py', '--maskers', 'random'])):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv('PYTHONPATH', os.pathsep.join([
                str(project), os.environ.get('PYTHONPATH', '')]))
            patch.setenv('OMP_NUM_THREADS', '1')
            patch.setenv('CUDA_VISIBLE_DEVICES', '')
            patch.setenv('END_IN_EPOCH', end)
            patch.syspath_prepend(project)
            patch.chdir(project)
            with redirect_stdout(StringIO()) as out:
                code = call(run_grid, patch, *args, '--work-dir', work)
        said.append((code, out.getvalue()))
        tables.append(rows(work))
        weights = work / 'random/ratio0.5/seed0/epoch_2.pth'
        seen[len(said)] = weights.stat().st_mtime_ns if (
            weights.exists()) else None
    return work, said, tables, seen


def test_failures_are_recorded_and_stop_nothing(life):
    _, said, tables, _ = life
    code, text = said[0]
    assert code == 1 and '2 failed' in text
    assert tables[0]['random']['status'] == 'failed'
    assert 'SIGKILL' in tables[0]['random']['error']
    assert tables[0]['sbm']['status'] == 'failed'
    assert tables[0]['sbm']['error'] == 'a sentence of a training.'
    assert tables[0]['sbm']['knn_top1'] == ''


def test_goes_on_from_the_last_checkpoint(life):
    work, said, tables, _ = life
    code, text = said[1]
    assert code == 0 and 'goes on' in text and '1 finished' in text
    folder = work / 'random/ratio0.5/seed0'
    logs = [read_scalars(log.parents[2]) for log in folder.glob(
        '*/vis_data/scalars.json')]
    assert len(logs) == 2
    # The second part trained the second epoch and no other.
    last = sorted(folder.glob('*/vis_data/scalars.json'))[-1]
    steps = [json.loads(line) for line in last.read_text().splitlines()]
    assert {s['epoch'] for s in steps if 'loss' in s} == {2}
    row = tables[1]['random']
    assert row['status'] == 'finished' and row['error'] == ''
    assert float(row['seconds']) > float(tables[0]['random']['seconds'])
    assert row['started'] == tables[0]['random']['started']
    # The other masker's failure is still known.
    assert tables[1]['sbm'] == tables[0]['sbm']


def test_the_row_says_what_was_run(life):
    work, _, tables, _ = life
    row = tables[1]['random']
    records = read_scalars(row['work_dir'])
    knn = [r['knn_top1'] for r in records if 'knn_top1' in r]
    assert float(row['knn_top1']) == knn[-1] and len(knn) == 2
    assert float(row['visible_tokens']) == 8  # of 16
    assert float(row['mask_ratio']) == .5
    assert float(row['images_per_second']) > 0
    assert Path(row['work_dir']) == work / 'random/ratio0.5/seed0'
    for words, column in (('torch 2', 'versions'), ('mmengine', 'versions'),
                          ('cores', 'hardware')):
        assert words in row[column]
    assert len(row['config_hash']) == len(row['base_hash']) == 12
    # What was run is the config that the hash stands for.
    cfg = Config.fromfile(work / 'random/ratio0.5/seed0/run_config.py')
    assert cfg.model.masker == dict(type='sbam_mm.RandomMasker', ratio=.5)
    assert cfg.train_cfg.max_epochs == 2 and cfg.randomness.seed == 0


def test_finished_runs_are_skipped(life):
    _, said, tables, seen = life
    code, text = said[2]
    assert code == 0 and 'already finished' in text and '1 skipped' in text
    assert tables[2] == tables[1]
    assert seen[3] == seen[2] is not None


def test_dry_run_lists_and_estimates(life, env, capsys):
    work = life[0]
    listed = sorted(work.rglob('*'))
    assert call(run_grid, env, 'grid.py', '--maskers', 'random,sbam',
                '--work-dir', work, '--dry-run') == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == [
        'random,', 'ratio', '0.5,', 'seed', '0', 'finished']
    assert 'sbam, ratio 0.5, seed 0' in out and 'to do' in out
    seconds = float(life[2][2]['random']['seconds'])
    assert '1 of 2 runs to do; about ' + run_grid.duration(seconds) in out
    assert sorted(work.rglob('*')) == listed


def test_a_run_of_another_process_is_left_alone(life, env, capsys):
    work = life[0]
    with RunLock(work / 'sbam/ratio0.5/seed0/run.lock'):
        assert call(run_grid, env, 'grid.py', '--maskers', 'sbam',
                    '--work-dir', work) == 1
    out = capsys.readouterr().out
    assert f'process {os.getpid()} on ' in out and '1 taken' in out
    assert not (work / 'sbam/ratio0.5/seed0/result.json').exists()


def test_another_configuration_is_not_mixed_in(life, env, capsys):
    assert call(run_grid, env, 'grid.py', '--epochs', 3, '--maskers',
                'random', '--work-dir', life[0]) == 2
    error = capsys.readouterr().err
    assert 'holds a run of another configuration' in error
    assert error.count('\n') == 1
    # The folder may have moved, and with it the path.
    assert call(run_grid, env, 'grid.py', '--maskers', 'random', '--dry-run',
                '--work-dir', os.path.relpath(life[0])) == 0


def test_told_to_end_it_ends_the_training(project, env):
    """No process stays behind, and the run counts as interrupted."""
    work = project / 'ended'
    folder = work / 'random/ratio0.5/seed0'
    process = subprocess.Popen(
        [sys.executable, ROOT / 'tools/run_grid.py', 'grid.py', '--maskers',
         'random', '--work-dir', work],
        env=dict(os.environ,
                 PYTHONPATH=os.pathsep.join([str(project), str(ROOT)])),
        stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (folder / 'output.txt').is_file():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(.05)
        process.terminate()
        assert process.wait(60) == 143
    finally:
        process.kill()
    result = json.loads((folder / 'result.json').read_text())
    assert result['status'] == 'interrupted'
    # A child that lived would still hold the lock.
    with RunLock(folder / 'run.lock') as lock:
        assert lock.note == ''


def test_pimr_of_a_real_table(life, env, capsys):
    """One ratio and one seed: numbers, and what they lack."""
    assert call(pimr, env, life[0] / 'runs.csv') == 0
    out = capsys.readouterr().out
    assert 'random has one ratio: PIMR needs two.' in out
    assert 'There is one seed' in out
    assert "Left out: sbm at ratio 0.5 with seed 0 (failed: " in out


def test_pimr_writes_table_numbers_and_picture(tmp_path, monkeypatch, capsys):
    table = tmp_path / 'runs.csv'
    table.write_text(
        'masker,ratio,seed,acc\n'
        'mae,0.6,0,59\nmae,0.6,1,61\nmae,0.75,0,63\nmae,0.75,1,65\n'
        'sbm,0.6,0,68\nsbm,0.6,1,70\nsbm,0.75,0,69\nsbm,0.75,1,71\n')
    assert call(pimr, monkeypatch, table, '--metric', 'acc') == 0
    page = (tmp_path / 'pimr.md').read_text()
    assert page in capsys.readouterr().out
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


def test_pimr_of_another_file_is_a_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / 'other.csv').write_text('a,b\n1,2\n')
    assert call(pimr, monkeypatch, tmp_path / 'other.csv', '--out',
                tmp_path / 'out') == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and error.count('\n') == 1
    assert not list(tmp_path.glob('out*'))


@pytest.mark.parametrize('args, words', [
    (['--maskers', 'sbam,foo'], "there is no masker 'foo'; choose one of"),
    (['--maskers', 'sbam,SBAM'], 'the grid has a masker twice: sbam, sbam'),
    (['--ratios', '75'], 'a masking ratio is a share in (0, 1), got 75'),
    (['--ratios', '0'], 'a masking ratio is a share in (0, 1), got 0'),
    (['--seeds', '-1'], 'argument --seeds: a whole number from 0'),
    (['--maskers', 'uniform'], 'uniform cannot be run at ratio 0.5'),
    (['--maskers', 'random,gpa'], "GPA needs 'teacher_attention'"),
    (['--maskers', 'amt'], "AMT asks for 'attention_map', which the pipe"),
    (['--maskers', 'amt', '--dry-run'], "dict(type='sbam_mm.LoadAttention"),
    (['--cfg-options', 'model.neck.embed_dim=7'], 'not the width of the enc'),
    (['--cfg-options', 'train_dataloader.dataset.pipeline.1.size=3'],
     'size'),
    (['--shard', '3/2'], 'a shard is i/n with i from 1 to n, got 3/2'),
    (['--shard', 'one'], '--shard is I/N'),
    (['--config', 'none.py'], "the config 'none.py' does not exist"),
    (['--config', 'end_in_epoch.py'], 'end_in_epoch.py cannot be read'),
    (['--config', 'empty.py'], 'no train_dataloader'),
    (['--epochs', '0'], "--epochs: a whole number from 1 is wanted, got '0'"),
    (['--processes', '0'], '--processes: a whole number from 1'),
])
def test_bad_input_gets_a_sentence(project, env, capsys, args, words):
    assert call(run_grid, env, 'grid.py', '--work-dir', 'nowhere',
                *args) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and words in error
    assert error.count('\n') == 1
    assert not (project / 'nowhere').exists()


def test_an_incomplete_grid_gets_a_sentence(env, capsys):
    assert call(run_grid, env, '--maskers', 'sbam') == 2
    assert ('give a grid file or --config and --ratios and --seeds.'
            in capsys.readouterr().err)
    assert call(run_grid, env, 'missing.py') == 2
    assert "the grid 'missing.py' does not exist" in capsys.readouterr().err


def small_grid(**changes):
    return Grid(**{
        **dict(config=str(ROOT / SMALL), maskers=['random', 'sbam'],
               ratios=[.6, .9], seeds=[0, 1]), **changes
    })


def test_cells_are_balanced_and_shards_share_them():
    cells = small_grid().cells
    assert len(set(cells)) == 8 and {c.seed for c in cells[:4]} == {0}
    parts = [shard(cells, part, 3) for part in (1, 2, 3)]
    assert sorted(map(str, sum(parts, []))) == sorted(map(str, cells))
    assert {len(part) for part in parts} == {2, 3}


def test_only_masker_ratio_and_seed_differ():
    grid = small_grid()
    configs = {cell: grid.run_config(cell) for cell in grid.cells}
    assert len({config_hash(cfg) for cfg in configs.values()}) == 8
    rest = set()
    for cell, cfg in configs.items():
        assert cfg.model.masker.ratio == cell.ratio
        assert cfg.randomness.seed == cell.seed
        cfg.model.masker, cfg.randomness.seed = None, None
        rest.add(config_hash(cfg))
    assert rest == {grid.base_hash()}
    # AMR keeps its range where there is room for it.
    for ratio, delta_r in ((.6, .15), (.9, .09)):
        masker = grid.run_config(Cell('sbam', ratio, 0)).model.masker
        assert masker == dict(type='sbam_mm.SBAM', ratio=ratio,
                              delta_r=delta_r)
    assert small_grid(epochs=8).base_hash() != grid.base_hash()


def test_the_masker_of_the_config_keeps_its_options():
    grid = small_grid(config=str(ROOT / 'configs/small/sbam_small.py'),
                      cfg_options={'model.masker.noise': .25})
    for cell in grid.cells:
        masker = grid.run_config(cell).model.masker
        assert masker.get('noise') == (.25 if cell.masker == 'sbam' else None)


def test_around_views_that_stay_whole():
    """iBOT leaves half the views whole, whatever the masker."""
    config = ROOT / 'configs/ibot/ibot_vitb_sbam_100e.py'
    before = Config.fromfile(config).model.masker
    masker = small_grid(config=str(config), ratios=[.3]).run_config(
        Cell('random', .3, 0)).model.masker
    assert masker.pop('masker') == dict(type='sbam_mm.RandomMasker', ratio=.3)
    before.pop('masker')
    assert masker == before


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


@pytest.mark.parametrize('path', GRIDS, ids=lambda path: path.name)
def test_published_grids(path):
    doc = ast.get_docstring(ast.parse(path.read_text()))
    for name in ('Paper:', 'Expected:', 'Cost:', 'Command:'):
        assert name in doc
    assert path.relative_to(ROOT).as_posix() in doc.split('Command:')[1]
    grid = Grid(**read_grid_file(path))
    for cell in grid.cells:
        grid.run_config(cell)
    assert f'{len(grid.cells)} runs' in doc
