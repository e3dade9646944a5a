# Copyright (c) OpenMMLab. All rights reserved.
"""What the tools change in a config, without starting anything."""
import os
import subprocess
from pathlib import Path

import pytest
from mmengine.config import Config

from sbam_mm.engine import launch
from sbam_mm.errors import UserError


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')


def test_data_root_reaches_the_config(tmp_path, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', 'overwritten')
    config = tmp_path / 'config.py'
    config.write_text("root = '{{$DATA_ROOT:data/imagenet}}'")
    cfg = launch.load_config(str(config), data_root=str(tmp_path))
    assert cfg.root == str(tmp_path)


def test_data_root_reaches_the_base_of_a_config(tmp_path, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', 'overwritten')
    (tmp_path / 'base.py').write_text("root = '{{$DATA_ROOT:data}}'")
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'base.py'")
    cfg = launch.load_config(str(config), data_root=str(tmp_path))
    assert cfg.root == str(tmp_path)


def test_data_root_without_effect_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', 'overwritten')
    config = tmp_path / 'config.py'
    config.write_text('lr = 1')
    with pytest.raises(UserError, match='does not read DATA_ROOT'):
        launch.load_config(str(config), data_root='images')


def test_options_overrule_the_config(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('model = dict(ratio=0.75, depth=2)')
    cfg = launch.load_config(
        str(config), cfg_options={'model.ratio': 0.5})
    assert cfg.model == dict(ratio=0.5, depth=2)


def test_missing_files_are_named():
    with pytest.raises(ValueError, match="'none.py' does not exist"):
        launch.load_config('none.py')
    with pytest.raises(UserError, match="checkpoint 'none.pth'"):
        launch.require_file('none.pth', 'checkpoint')
    url = 'https://example.org/none.pth'
    assert launch.require_file(url, 'checkpoint') == url


def test_amp_becomes_float32_without_accelerator(no_accelerator):
    cfg = Config(
        dict(
            optim_wrapper=dict(
                type='AmpOptimWrapper',
                dtype='bfloat16',
                loss_scale='dynamic',
                accumulative_counts=2,
                optimizer=dict(type='AdamW', lr=1.))))
    notes = launch.prepare_launch(cfg, 'none')
    assert cfg.optim_wrapper == dict(
        type='OptimWrapper',
        accumulative_counts=2,
        optimizer=dict(type='AdamW', lr=1.))
    assert len(notes) == 1
    assert launch.prepare_launch(cfg, 'none') == []


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_cluster_launchers_need_gpus(no_accelerator, launcher):
    with pytest.raises(UserError, match='needs GPUs'):
        launch.prepare_launch(Config(), launcher)


def test_pytorch_launcher_needs_torchrun(no_accelerator, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(UserError, match='torchrun'):
        launch.prepare_launch(Config(), 'pytorch')


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(launch.torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '8')
    with pytest.raises(UserError, match='start at most 2'):
        launch.prepare_launch(Config(), 'pytorch')


def test_default_work_dir():
    assert launch.default_work_dir('configs/a/b.py') == 'work_dirs/b'


@pytest.mark.parametrize('variables, words', [
    (dict(NNODES='two'), "NNODES is 'two'"),
    (dict(NNODES='0'), "NODE_RANK is '0' of NNODES 0"),
    (dict(NNODES='2', NODE_RANK='2'), "NODE_RANK is '2' of NNODES 2"),
    (dict(PORT='high'), "PORT is 'high'"),
    (dict(PORT='70000'), "PORT is '70000'"),
    (dict(PYTHON='/no/python'), "the interpreter '/no/python' is not there"),
])
def test_the_script_checks_its_variables(variables, words):
    script = Path(launch.__file__).parents[2] / 'tools' / 'dist_train.sh'
    ended = subprocess.run(
        ['bash', str(script), 'config.py', '2'], capture_output=True,
        text=True, env=dict(os.environ, **variables))
    assert ended.returncode == 2
    assert ended.stderr.startswith('error: ') and words in ended.stderr
    assert ended.stderr.count('\n') == 1
