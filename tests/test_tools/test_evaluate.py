# Copyright (c) OpenMMLab. All rights reserved.
"""tools/evaluate.py, from a file of weights to a table."""
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from image_set_files import write_image_set
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from sbam_mm.evaluation.encoders import encoder_recipe
from sbam_mm.models.checkpoint_formats import from_ours

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / 'configs' / 'small' / 'sbam_small.py'


def start(*args, cwd, tool=(sys.executable, ROOT / 'tools' / 'evaluate.py')):
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    return subprocess.run(
        [*map(str, tool), *map(str, args)],
        cwd=cwd, capture_output=True, text=True, timeout=300,
        env=dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1',
                 PYTHONPATH=os.pathsep.join(filter(None, paths))))


@pytest.fixture
def run(monkeypatch, capsys):
    """Call the tool in this process, which saves its imports."""
    spec = importlib.util.spec_from_file_location(
        'evaluate', ROOT / 'tools' / 'evaluate.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    def call(*args, cwd):
        monkeypatch.chdir(cwd)
        monkeypatch.setattr('sys.argv', ['evaluate.py', *map(str, args)])
        try:
            tool.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(args, code, out, err)

    return call


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Two classes of noisy images, dark and bright, and two checkpoints."""
    folder = tmp_path_factory.mktemp('evaluate')
    rng = np.random.default_rng(0)
    for half, count in (('train', 40), ('test', 10)):
        for label, name in enumerate(['dark', 'bright']):
            (folder / 'data' / half / name).mkdir(parents=True)
            for i in range(count):
                level = 60 + 110 * label
                pixels = rng.integers(level, level + 40, (32, 32, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(
                    folder / 'data' / half / name / f'{i}.png')
    torch.manual_seed(0)
    state = {f'backbone.{k}': v for k, v in
             encoder_recipe(SMALL).build().state_dict().items()}
    torch.save(dict(state_dict=state), folder / 'ours.pth')
    official = encoder_recipe(arch='deit-tiny', patch=16, size=32).build()
    torch.save(dict(model=from_ours(
        {f'backbone.{k}': v for k, v in official.state_dict().items()},
        'mae', part='encoder').state), folder / 'official.pth')
    return folder


COMMON = ('--data', 'data', '--workers', 0, '--batch-size', 32)


def test_all_protocols_and_a_second_call(place, run):
    every = 'knn,linear,linear-sweep,finetune,fewshot'
    common = ('ours.pth', '--config', SMALL, *COMMON, '--out', 'out')
    knn = ('--set', 'knn.k=(3,500)')
    args = (*common, *knn, '--set', 'linear.epochs=2', 'linear.warm_up=1',
            'linear-sweep.epochs=2', 'linear-sweep.rates=(0.01,0.1)',
            'linear-sweep.augment=False', 'finetune.epochs=1',
            'finetune.batch=16', 'fewshot.shares=(0.1,)')
    first = run(*common, *knn, '--protocol', 'knn', cwd=place)
    assert first.returncode == 0, first.stderr
    first = json.loads((place / 'out/results.json').read_text())
    second = run(*args, '--protocol', every, cwd=place)
    assert second.returncode == 0, second.stderr
    assert 'knn: finished before, skipped' in second.stdout
    found = json.loads((place / 'out/results.json').read_text())
    assert found['protocols']['knn'] == first['protocols']['knn']
    assert set(found['protocols']) == set(every.split(','))
    for one in found['protocols'].values():
        assert one['versions']['torch'] and one['seconds'] >= 0
    assert found['protocols']['knn']['left_out'] == [500]
    assert 'raise linear.base_lr' in found['protocols']['linear']['note']
    sweep = found['protocols']['linear-sweep']
    assert set(sweep['top1']) == {
        f'{pooling}, lr={lr * 5 / 256:.3g}' for lr in (0.01, 0.1)
        for pooling in ('cls', '4cls', 'cls+avg')}
    assert len(sweep['curves'][sweep['best']]) == 2
    tuned = found['protocols']['finetune']['curves']['finetune']
    assert [point['epoch'] for point in tuned] == [1]
    assert tuned[0]['loss'] > 0
    assert 'fine-tuning by' in second.stdout
    assert 'small.py (for images below 96 pixels)' in second.stdout
    # A sixteenth of the images, in place of ImageNet's batch.
    linear = found['protocols']['linear']
    assert (linear['settings']['batch'], linear['asked']['batch']) == (
        5, 16384)
    tuned = found['protocols']['finetune']['settings']
    assert (tuned['batch'], tuned['epochs']) == (16, 1)
    assert tuned['config'].endswith('small.py')
    few = place / 'out/few_shot/data_10percent_seed0.txt'
    assert len(few.read_text().splitlines()) == 8
    page = (place / 'out/results.md').read_text()
    assert page in second.stdout
    assert 'batch 5,' in page and '16384' not in page
    # Dark and bright are easy, whatever the encoder.
    knn = found['protocols']['knn']['top1']
    assert min(knn.values()) > 90

    third = run(*args, '--protocol', every, cwd=place)
    assert third.stdout.count('skipped') == 5
    assert json.loads((place / 'out/results.json').read_text()) == found
    other = run(*common, '--set', 'finetune.epochs=2', 'finetune.batch=16',
                '--protocol', 'finetune', cwd=place)
    assert other.returncode == 2
    assert 'other settings (epochs)' in other.stderr


def test_results_in_bfloat16_are_not_those_without(place, run):
    args = ('ours.pth', '--config', SMALL, *COMMON, '--out', 'amp', '--set',
            'knn.k=3')
    path = place / 'amp/results.json'
    assert run(*args, '--amp', cwd=place).returncode == 0
    settings = json.loads(path.read_text())['protocols']['knn']['settings']
    assert settings['amp'] is True
    assert 'amp True' in path.with_suffix('.md').read_text()
    other = run(*args, cwd=place)
    assert other.returncode == 2
    assert 'knn with other settings (amp)' in other.stderr
    assert run(*args, '--force', cwd=place).returncode == 0
    # A file from before it was recorded: without.
    found = json.loads(path.read_text())
    assert found['protocols']['knn']['settings'].pop('amp') is False
    path.write_text(json.dumps(found))
    assert 'knn: finished before' in run(*args, cwd=place).stdout
    assert 'other settings (amp)' in run(*args, '--amp', cwd=place).stderr


def test_lists_made_elsewhere(place, run):
    """The last line has no end; every image of a list is learnt from."""
    for name, count in (('two', 2), ('four', 4)):
        (place / f'{name}.txt').write_text('\n\n'.join(
            f'{label}/{i}.png' for label in ('dark', 'bright')
            for i in range(count)))
    done = run('ours.pth', '--config', SMALL, *COMMON, '--out', 'lists',
               '--protocol', 'fewshot', '--set',
               "fewshot.lists=('two.txt','four.txt')", cwd=place)
    assert done.returncode == 0, done.stderr
    found = json.loads((place / 'lists/results.json').read_text())
    few = found['protocols']['fewshot']
    assert few['images'] == dict(two=4, four=8)
    assert min(few['top1'].values()) > 90


def test_fine_tuning_of_an_unknown_width_stops_first(place, run, tmp_path):
    wide = encoder_recipe(arch='deit-tiny', patch=16, size=96).build()
    torch.save(dict(state_dict={
        f'backbone.{k}': v for k, v in wide.state_dict().items()}),
        tmp_path / 'wide.pth')
    for more in ('finetune',), ('fewshot', '--set', 'fewshot.finetune=True'):
        done = run(tmp_path / 'wide.pth', '--arch', 'deit-tiny', '--size', 96,
                   *COMMON, '--out', tmp_path / 'out', '--protocol',
                   f'knn,{more[0]}', *more[1:], cwd=place)
        assert done.returncode == 2
        assert 'no fine-tuning recipe is known for an encoder 192 wide' in (
            done.stderr)
    assert not (tmp_path / 'out').exists()


def test_the_recipe_is_the_one_of_the_method(place, run, tmp_path):
    """A file that does not say how it was trained is asked about."""
    encoder = encoder_recipe(arch=dict(
        embed_dims=384, num_layers=1, num_heads=6, feedforward_channels=384),
        patch=32, size=96).build()
    state = {f'backbone.{k}': v for k, v in encoder.state_dict().items()}
    config = tmp_path / 'one_block.py'
    config.write_text(
        "model = dict(type='sbam_mm.iBOT', backbone=dict(\n"
        "    type='sbam_mm.MaskedViT', img_size=96, patch_size=32,\n"
        '    arch=dict(embed_dims=384, num_layers=1, num_heads=6,\n'
        '              feedforward_channels=384)))\n')
    common = ('--config', config, *COMMON, '--protocol', 'finetune')
    for name in ('iBOT', 'MAE'):
        meta = dict(cfg=config.read_text().replace('iBOT', name))
        path = tmp_path / f'{name}.pth'
        torch.save(dict(state_dict=state, meta=meta), path)
        done = run(path, *common, '--out', tmp_path / name, '--set',
                   'finetune.epochs=1', 'finetune.batch=16', cwd=place)
        if name == 'iBOT':
            assert done.returncode == 0, done.stderr
            assert ('ibot_vits_200e.py (the checkpoint was pre-trained by '
                    'iBOT)') in done.stdout
        else:
            assert done.returncode == 2
            assert 'no fine-tuning recipe of MAE is known for an encoder ' \
                '384 wide' in done.stderr
            assert not (tmp_path / name).exists()


def test_official_file_and_sklearn(place):
    result = start('official.pth', '--arch', 'deit-tiny', '--size', 32,
                   *COMMON, '--out', 'mae', '--set', 'knn.k=(5,20)',
                   cwd=place)
    assert result.returncode == 0, result.stderr
    found = json.loads((place / 'mae/results.json').read_text())
    data = {}
    for half in ('train', 'test'):
        labels, = place.glob(f'mae/features/{half}-*.labels.npy')
        data[half] = {
            name: np.load(str(labels).replace('labels', name)).astype(
                np.float64) for name in ('cls', 'avg')}, np.load(labels)
    for name in ('cls', 'avg'):
        for k in (5, 20):
            reference = KNeighborsClassifier(
                k, metric='cosine', algorithm='brute',
                weights=lambda distance: np.exp(-distance / 0.07))
            reference.fit(data['train'][0][name], data['train'][1])
            score = reference.score(data['test'][0][name],
                                    data['test'][1])
            assert found['protocols']['knn']['top1'][
                f'{name}, k={k}'] == pytest.approx(100 * score)


SHARED = ('bash', ROOT / 'tools' / 'dist_evaluate.sh')


@pytest.mark.dist
def test_two_processes_find_the_same_and_fine_tune_together(place, run):
    args = ('--config', SMALL, *COMMON, '--set', 'knn.k=5')
    result = start('ours.pth', 2, *args, 'finetune.epochs=1',
                   'finetune.batch=8', '--out', 'two', '--protocol',
                   'knn,finetune', cwd=place, tool=SHARED)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.count('knn ...') == 1
    assert result.stdout.count('Written: ') == 1
    two = json.loads((place / 'two/results.json').read_text())['protocols']
    assert two['knn']['versions']['processes'] == '2'
    run('ours.pth', *args, '--out', 'one', cwd=place)
    one = json.loads((place / 'one/results.json').read_text())['protocols']
    assert one['knn']['versions']['processes'] == '1'
    assert one['knn']['top1'] == two['knn']['top1']
    # 80 images in steps of 2 x 8, and no image tested twice.
    tuned = two['finetune']
    assert tuned['batch'] == 8
    checkpoint = torch.load(Path(place, tuned['work_dir'], 'epoch_1.pth'),
                            weights_only=False)
    assert checkpoint['meta']['iter'] == 5
    score = tuned['curves']['finetune'][0]['top1'] / 5
    assert score == pytest.approx(round(score), abs=1e-4)


@pytest.mark.dist
def test_two_processes_say_one_sentence(place):
    result = start('ours.pth', 2, '--config', SMALL, '--data', 'nowhere',
                   '--out', 'bad', cwd=place, tool=SHARED)
    assert result.returncode == 2
    told = [line for line in result.stderr.splitlines() if 'error' in line]
    assert len(told) == 1 and told[0].startswith('error: the data folder')
    assert 'Traceback' not in result.stderr
    assert not (place / 'bad').exists()


@pytest.mark.parametrize('changes, words', [
    (('--protocol', 'knn,pca'), "protocol 'pca' is unknown"),
    (('--set', 'knn.n=3'), 'KNN has k, temperature'),
    (('--set', 'knn.k=x'), 'value of the wrong kind'),
    (('--set', 'knn.k=x', '--set', 'knn.temperature=1'), '--set knn.k=x'),
    (('--set', 'linear.epochs=2'), 'changes nothing without linear'),
    (('--data', 'nowhere'), 'nowhere does not exist'),
    (('--arch', 'base'), 'made by a model of other sizes'),
    (('--config', 'none.py'), "the config 'none.py' does not exist"),
    (('--set', 'knn.k=300'), 'wants 300 or more neighbours of 80'),
])
def test_a_sentence_and_no_file(place, run, changes, words):
    args = ['ours.pth', *COMMON, '--out', 'bad']
    if '--arch' not in changes and '--config' not in changes:
        args += ['--config', SMALL]
    result = run(*args, *changes, cwd=place)
    assert result.returncode == 2, result.stderr
    assert words in result.stderr
    assert result.stderr.count('\n') == 1
    assert not (place / 'bad' / 'results.json').exists()


@pytest.mark.parametrize('name, classes', [
    ('CIFAR10', 10), ('CIFAR100', 100), ('STL10', 10), ('TinyImageNet', 5)])
def test_image_sets_as_they_are_distributed(
        name, classes, place, run, tmp_path, monkeypatch):
    """Every test image is one of the training images, in another order."""
    labels = list(range(classes))
    write_image_set(
        name, tmp_path / 'data', monkeypatch, labels, labels[::-1])
    done = run(place / 'ours.pth', '--config', SMALL, *COMMON, '--out', 'out',
               '--set', 'knn.k=1', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'out/results.json').read_text())
    assert found['data']['classes'] == found['data']['test'] == classes
    assert set(found['protocols']['knn']['top1'].values()) == {100}
