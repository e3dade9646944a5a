# Copyright (c) OpenMMLab. All rights reserved.
"""No file of somebody else runs code, whichever tool reads it."""
import ast
import pickle
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from hostile_files import (
    CHECKPOINTS,
    CONFIGS,
    checkpoint_writers,
    payloads,
    whole_checkpoint,
    write_configs,
)
from mmengine.runner.checkpoint import load_checkpoint
from small_runs import small_config, train, write_images
from started_tools import ROOT, TOOLS, call_tool
from torch import nn

from sbam_mm.config_files import read_config
from sbam_mm.run_switches import TRUST_PICKLE
from sbam_mm.safe_loading import (
    HoldsObjects,
    read_checkpoint,
    use_safe_loading,
)
from sbam_mm.studies import read_study

pytestmark = pytest.mark.integration
# Holds nothing that could run, but text that mmengine would execute.
HARMLESS = {'config_text'}


@pytest.fixture
def mark(tmp_path):
    """The file that must not appear."""
    path = tmp_path / 'CODE_RAN'
    yield path
    assert not path.exists()


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A finished training: config, work_dir, images."""
    folder = tmp_path_factory.mktemp('run')
    images = write_images(folder / 'images')
    config = small_config(
        folder / 'config.py', images, train_cfg__max_epochs=1)
    ended = train(config, folder / 'work')
    assert ended.code == 0, ended.err
    return folder


def evil_copy(run, target, name, mark):
    """The run's own checkpoint, with something hostile in it."""
    checkpoint = partial(torch.load, run / 'work' / 'epoch_1.pth',
                         weights_only=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    checkpoint_writers(mark, checkpoint)[name](target)
    return target


def refuses(ended, words='could run code'):
    """One sentence, no traceback."""
    assert ended.code == 2
    said, = ended.err.strip().splitlines()[-1:]
    assert said.startswith('error: ') and words in said, said
    assert 'Traceback' not in ended.out + ended.err


@pytest.mark.parametrize('name', CHECKPOINTS)
def test_every_kind_is_refused_with_what_it_is(name, tmp_path, mark):
    path = tmp_path / f'{name}.pth'
    checkpoint_writers(mark)[name](path)
    if name in HARMLESS:
        assert 'config' not in read_checkpoint(path)['meta']
        return
    with pytest.raises(HoldsObjects, match='could run code'):
        read_checkpoint(path)


@pytest.mark.parametrize('name', CHECKPOINTS)
def test_mmengine_reads_as_carefully(name, tmp_path, mark):
    use_safe_loading()
    path = tmp_path / f'{name}.pth'
    checkpoint_writers(mark)[name](path)
    if name in HARMLESS:
        load_checkpoint(nn.Linear(2, 2), str(path))
        return
    with pytest.raises(HoldsObjects):
        load_checkpoint(nn.Linear(2, 2), str(path))


def test_what_mmengine_saves_is_read(tmp_path):
    torch.save(whole_checkpoint(), tmp_path / 'a.pth')
    back = read_checkpoint(tmp_path / 'a.pth')
    history = back['message_hub']['log_scalars']['loss']
    assert history.mean() == 1. and back['meta']['iter'] == 4


def test_trusting_reads_anything(tmp_path):
    mark = tmp_path / 'mark'
    path = tmp_path / 'a.pth'
    path.write_bytes(pickle.dumps(payloads(mark)['exec']))
    with TRUST_PICKLE.set(), pytest.raises(ValueError):
        read_checkpoint(path)  # a bare object is still no checkpoint
    torch.save(dict(x=payloads(mark)['exec']), path)
    with TRUST_PICKLE.set():
        read_checkpoint(path)
    assert mark.exists()


def test_a_damaged_file_is_called_damaged(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(whole_checkpoint(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match='damaged') as caught:
        read_checkpoint(path)
    assert 'could run code' not in str(caught.value)


def test_zeros_are_called_damaged(tmp_path):
    """What a crash may leave, which Python calls a .tar."""
    (tmp_path / 'a.pth').write_bytes(bytes(10240))
    with pytest.raises(ValueError, match='damaged') as caught:
        read_checkpoint(tmp_path / 'a.pth')
    assert not isinstance(caught.value, HoldsObjects)


def test_urls_are_read_as_carefully(tmp_path, mark, monkeypatch):
    use_safe_loading()
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    (tmp_path / 'www').mkdir()
    checkpoint_writers(mark)['in_exec'](tmp_path / 'www' / 'evil.pth')
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / 'www' / 'good.pth')

    class Quiet(SimpleHTTPRequestHandler):

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(
        ('127.0.0.1', 0), partial(Quiet, directory=str(tmp_path / 'www')))
    Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}'
    try:
        with pytest.raises(HoldsObjects):
            load_checkpoint(nn.Linear(2, 2), f'{url}/evil.pth')
        model = nn.Linear(2, 2)
        found = load_checkpoint(model, f'{url}/good.pth')
        assert torch.equal(model.weight, found['weight'])
        with pytest.raises(ValueError, match='cannot be downloaded'):
            load_checkpoint(model, f'{url}/none.pth')
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize('name', CONFIGS)
def test_yaml_and_json_are_data(name, tmp_path, mark, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write_configs(tmp_path, mark)[name]
    refuses(call_tool('train', path, '--work-dir', tmp_path / 'work'),
            words='')
    assert 'evil_module' not in sys.modules


@pytest.mark.parametrize('base', [
    'small/sbam_small', 'finetune/vitb_100e', 'ibot/ibot_vitb_100e',
    'mmseg/upernet_vitb_160k_ade20k'])
def test_a_yaml_config_may_build_on_ours(base, tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(f'_base_: {ROOT}/configs/{base}.py\nmax_epochs: 7\n')
    assert read_config(path).max_epochs == 7


@pytest.mark.parametrize('tool', TOOLS)
def test_every_tool_starts_through_the_one_door(tool):
    """Else it would read as mmengine does."""
    tree = ast.parse((ROOT / 'tools' / f'{tool}.py').read_text())
    main, = [node for node in tree.body
             if isinstance(node, ast.FunctionDef) and node.name == 'main']
    assert [ast.unparse(one) for one in main.decorator_list] == ['tool']


@pytest.mark.parametrize('name', CHECKPOINTS)
def test_resuming_from_a_file(name, run, tmp_path, mark):
    evil = evil_copy(run, tmp_path / 'evil.pth', name, mark)
    ended = train(run / 'config.py', tmp_path / 'work', '--resume', evil)
    if name in HARMLESS:
        assert ended.code == 0
    else:
        refuses(ended)


@pytest.mark.parametrize('name', CHECKPOINTS)
def test_resuming_in_a_folder(name, run, tmp_path, mark):
    evil = evil_copy(run, tmp_path / 'work' / 'epoch_1.pth', name, mark)
    (tmp_path / 'work' / 'last_checkpoint').write_text(str(evil))
    ended = train(run / 'config.py', tmp_path / 'work', '--resume')
    if name in HARMLESS:
        assert ended.code == 0
    else:
        refuses(ended)


@pytest.mark.parametrize('option', [
    'load_from={}',
    'model.backbone.init_cfg.type=Pretrained '
    'model.backbone.init_cfg.checkpoint={}',
    'model.teacher.type=sbam_mm.FrozenTeacher '
    'model.teacher.backbone.type=sbam_mm.MaskedViT '
    'model.teacher.backbone.arch=tiny model.teacher.checkpoint={}',
])
def test_files_that_a_config_names(option, run, tmp_path, mark):
    evil = evil_copy(run, tmp_path / 'evil.pth', 'in_exec', mark)
    refuses(train(run / 'config.py', tmp_path / 'work', '--cfg-options',
                  *option.format(evil).split()))


@pytest.mark.parametrize('command', [
    'test FINETUNE EVIL --work-dir OUT --data-root IMAGES',
    'evaluate EVIL --config CONFIG --data IMAGES --out OUT --workers 0',
    'visualize_masks IMAGE --config CONFIG --checkpoint EVIL --out OUT/a.png',
    'visualize_teachers IMAGE --config CONFIG --teacher EVIL --out OUT/a.png',
    'visualize_reconstruction CONFIG EVIL IMAGE --out OUT/a.png',
    'mask_metrics --images IMAGE --config CONFIG --checkpoint EVIL '
    '--annotations BOXES --out OUT/a',
    'select_attention --images IMAGE --config CONFIG --checkpoint EVIL '
    '--annotations BOXES --out OUT/a',
    'convert_checkpoint EVIL OUT/a.pth --to ours',
    'plot_segment_bias EVIL --out OUT/a.png',
])
def test_checkpoints_given_to_a_tool(command, run, tmp_path, mark):
    evil = evil_copy(run, tmp_path / 'evil.pth', 'in_exec', mark)
    boxes = tmp_path / 'boxes.json'
    boxes.write_text('{"0.png": [[4, 8, 16, 16]]}')
    words = dict(CONFIG=run / 'config.py', BOXES=boxes,
                 FINETUNE=ROOT / 'configs' / 'finetune' / 'small.py',
                 EVIL=evil, IMAGES=run / 'images',
                 OUT=tmp_path / 'out',
                 IMAGE=run / 'images' / 'test' / 'cat' / '0.png')
    tool, *args = command.split()
    for word, value in words.items():
        args = [arg.replace(word, str(value)) if word in arg.split('/')
                else arg for arg in args]
    refuses(call_tool(tool, *args))


def test_runs_that_are_gone_on_with(run, tmp_path, mark):
    """Quickstart's finished runs, a study's, evaluate's fine-tuning."""
    place = tmp_path / 'quick'
    for name in ('random', 'sbam'):
        evil_copy(run, place / f'images-16images-1epochs-seed0/{name}'
                  '/epoch_1.pth', 'in_exec', mark)
    refuses(call_tool('quickstart', '--data', run / 'images', '--work-dir',
                      place, '--epochs', 1))

    tuning = ('evaluate', run / 'work' / 'epoch_1.pth', '--config',
              run / 'config.py', '--data', run / 'images', '--out',
              tmp_path / 'out', '--workers', 0, '--protocol', 'finetune',
              '--set', 'finetune.epochs=1')
    assert call_tool(*tuning).code == 0
    (tmp_path / 'out' / 'results.json').unlink()
    tuned, = tmp_path.glob('out/finetune-*/epoch_1.pth')
    evil_copy(run, tuned, 'in_exec', mark)
    refuses(call_tool(*tuning))

    study = run / 'study.py'
    study.write_text(f"config = {str(run / 'config.py')!r}\nseeds = [0]\n"
                     "options = dict(epochs=2)\n"
                     "axes = dict(masker=['random'])\n")
    work = tmp_path / 'study'
    mark_of_cell = read_study(study).cells[0].hash
    evil_copy(run, work / 'cells' / mark_of_cell / 'epoch_1.pth', 'in_exec',
              mark)
    ended = call_tool('study', study, '--work-dir', work)
    assert ended.code == 1 and 'could run code' in ended.out
