# Copyright (c) OpenMMLab. All rights reserved.
"""The training tools, started as a user starts them, on a tiny real config.

The model is mmpretrain's own MAE: the tools serve any OpenMMLab config, and
these tests say so without leaning on our models.
"""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'
IMAGES = 8

CONFIG = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['record_samples'])
data_root = '{{$DATA_ROOT:data/imagenet}}'
model = dict(
    type='MAE',
    backbone=dict(
        type='MAEViT',
        arch=dict(
            embed_dims=16, num_layers=1, num_heads=2,
            feedforward_channels=32),
        img_size=16,
        patch_size=8,
        mask_ratio=0.5),
    neck=dict(
        type='MAEPretrainDecoder',
        num_patches=4,
        patch_size=8,
        embed_dim=16,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
        mlp_ratio=2.),
    head=dict(
        type='MAEPretrainHead',
        norm_pix=True,
        patch_size=8,
        loss=dict(type='PixelReconstructionLoss', criterion='L2')))
data_preprocessor = dict(
    type='SelfSupDataPreprocessor', mean=[127.] * 3, std=[50.] * 3)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        with_label=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(16, 16)),
            dict(type='PackInputs'),
        ]))
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=1e-3))
train_cfg = dict(by_epoch=True, max_epochs=1)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1),
    checkpoint=dict(type='CheckpointHook', interval=1))
custom_hooks = [dict(type='RecordSamples')]
randomness = dict(seed=0, diff_rank_seed=True)
"""

# Writes a line per image: rank, epoch, path.
HOOK = """
import os
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class RecordSamples(Hook):

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        with open(os.environ['RECORD'] + str(get_rank()), 'a') as file:
            for sample in data_batch['data_samples']:
                print(get_rank(), runner.epoch, sample.img_path, file=file)
"""


@pytest.fixture
def project(tmp_path):
    """A config, its hook and a folder of images."""
    (tmp_path / 'tiny.py').write_text(CONFIG)
    (tmp_path / 'record_samples.py').write_text(HOOK)
    images = tmp_path / 'images'
    images.mkdir()
    rng = np.random.default_rng(0)
    for i in range(IMAGES):
        pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f'{i}.png')
    return tmp_path


def start(project, *command):
    path = os.pathsep.join(
        [str(project), str(ROOT), os.environ.get('PYTHONPATH', '')])
    env = dict(
        os.environ,
        PYTHONPATH=path,
        PYTHON=sys.executable,
        RECORD=str(project / 'record'),
        # Two tiny processes on few cores; and CPU also where there is a GPU,
        # because that is what these tests are about.
        OMP_NUM_THREADS='1',
        CUDA_VISIBLE_DEVICES='')
    env.pop('DATA_ROOT', None)
    return subprocess.run([str(part) for part in command],
                          cwd=project,
                          env=env,
                          capture_output=True,
                          text=True,
                          timeout=300)


def train(project, *args):
    return start(project, sys.executable, TOOLS / 'train.py', 'tiny.py',
                 '--data-root', 'images', '--work-dir', 'work', *args)


def records(project, rank=0):
    """(epoch, image name) of every sample that a rank has trained on."""
    lines = (project / f'record{rank}').read_text().splitlines()
    found = []
    for line in lines:
        recorded_rank, epoch, path = line.split(maxsplit=2)
        assert int(recorded_rank) == rank
        found.append((int(epoch), Path(path).name))
    return found


def log(project):
    """All logs of the work directory, in order."""
    files = sorted(project.glob('work/*/*.log'))
    return '\n'.join(file.read_text() for file in files)


@pytest.mark.integration
def test_train_and_resume_on_a_machine_without_gpu(project):
    result = train(project, '--seed', '3')
    assert result.returncode == 0, result.stderr[-3000:]
    assert (project / 'work' / 'epoch_1.pth').exists()
    assert 'AmpOptimWrapper was replaced by OptimWrapper' in log(project)
    assert [epoch for epoch, _ in records(project)] == [0] * IMAGES
    assert len(set(records(project))) == IMAGES

    # Another seed and length: only if it is meant.
    longer = ('--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    result = train(project, *longer)
    assert result.returncode == 2
    assert ('the seed was 3 and is 0; train_cfg.max_epochs was 1 and is 2; '
            'start it as before') in result.stderr

    result = train(project, '--resume-anyway', *longer)
    assert result.returncode == 0, result.stderr[-3000:]
    # The second call trained epoch 1 only, with the restored counters.
    epochs = [epoch for epoch, _ in records(project)]
    assert epochs == [0] * IMAGES + [1] * IMAGES
    checkpoint = torch.load(
        project / 'work' / 'epoch_2.pth', weights_only=False)
    assert checkpoint['meta']['epoch'] == 2
    assert checkpoint['meta']['iter'] == IMAGES
    # Adam counts its steps: a fresh optimizer would have half of them.
    states = checkpoint['optimizer']['state'].values()
    assert {int(state['step']) for state in states} == {IMAGES}


@pytest.mark.integration
def test_exact_reaches_the_model_and_the_optimizer(project):
    (project / 'told.py').write_text(
        'from mmengine.hooks import Hook\n'
        'from mmengine.registry import HOOKS\n'
        'from sbam_mm.run_switches import is_exact\n'
        '@HOOKS.register_module()\n'
        'class Tell(Hook):\n'
        '    def before_train(self, runner):\n'
        '        group = runner.optim_wrapper.optimizer.param_groups[0]\n'
        '        print("exact", is_exact(), group["fused"])\n')
    config = project / 'tiny.py'
    config.write_text(config.read_text() + (
        "custom_imports['imports'].append('told')\n"
        "custom_hooks.append(dict(type='Tell'))\n"
        "optim_wrapper['optimizer']['fused'] = True\n"))
    told = [
        [line for line in run.stdout.splitlines() if line.startswith('exact')]
        for run in (train(project), train(project, '--exact'),
                    start(project, 'env', 'SBAM_MM_EXACT=1', sys.executable,
                          TOOLS / 'train.py', 'tiny.py', '--data-root',
                          'images'))
    ]
    assert told == [['exact False True'], ['exact True None'],
                    ['exact True None']]


@pytest.mark.dist
@pytest.mark.integration
def test_two_cpu_processes_share_the_epoch(project):
    result = start(project, 'bash', TOOLS / 'dist_train.sh', 'tiny.py', '2',
                   '--data-root', 'images', '--work-dir', 'work')
    assert result.returncode == 0, result.stderr[-3000:]
    seen = [{name for _, name in records(project, rank)} for rank in (0, 1)]
    assert len(seen[0]) == len(seen[1]) == IMAGES // 2
    assert not seen[0] & seen[1]

    text = log(project)
    assert '2 CPU processes train together through gloo' in text
    # One log and one checkpoint, not one per process.
    assert len(list(project.glob('work/*/*.log'))) == 1
    checkpoint = torch.load(
        project / 'work' / 'epoch_1.pth', weights_only=False)
    assert checkpoint['meta']['iter'] == IMAGES // 4
    # The names that one process writes, without the wrapper's prefix.
    assert 'backbone.cls_token' in checkpoint['state_dict']

    # A distributed training can go on as one process: nothing in the
    # checkpoint depends on the number of processes, but its steps do.
    longer = ('--resume', project / 'work' / 'epoch_1.pth', '--cfg-options',
              'train_cfg.max_epochs=2')
    result = train(project, *longer)
    assert ('an optimizer step took 2 x 2 x 1 images and takes 2 x 1 x 1'
            in result.stderr)
    result = train(project, '--resume-anyway', *longer)
    assert result.returncode == 0, result.stderr[-3000:]
    assert (project / 'work' / 'epoch_2.pth').exists()


def the_sentence(result):
    assert result.returncode != 0
    assert 'Traceback' not in result.stderr
    lines = [
        line for line in result.stderr.splitlines()
        if line.startswith('error: ')
    ]
    assert len(lines) == 1, result.stderr
    assert lines[0].endswith('.')
    return lines[0]


@pytest.mark.integration
def test_missing_config_is_a_sentence(project):
    error = the_sentence(
        start(project, sys.executable, TOOLS / 'train.py', 'nothing.py'))
    assert "'nothing.py' does not exist" in error


@pytest.mark.integration
def test_test_without_test_data_is_a_sentence(project):
    error = the_sentence(
        start(project, sys.executable, TOOLS / 'test.py', 'tiny.py',
              'any.pth'))
    assert 'no test_dataloader' in error


@pytest.mark.parametrize('script, args', [
    ('dist_train.sh', ['tiny.py', 'eight']),
    ('dist_test.sh', ['tiny.py', 'any.pth', '0']),
    ('dist_evaluate.sh', ['any.pth', '2x']),
])
def test_wrong_number_of_processes_is_a_sentence(project, script, args):
    error = the_sentence(start(project, 'bash', TOOLS / script, *args))
    assert 'GPUS is' in error


@pytest.mark.parametrize(
    'script', ['dist_train.sh', 'dist_test.sh', 'dist_evaluate.sh',
               'slurm_train.sh'])
def test_launcher_without_arguments_prints_usage(project, script):
    result = start(project, 'bash', TOOLS / script)
    assert result.returncode == 2
    assert result.stderr.startswith('usage: ')


def test_slurm_passes_everything_on(project):
    """With a stand-in for srun that prints what it was given."""
    srun = project / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    result = start(project, 'env', f"PATH={project}:{os.environ['PATH']}",
                   'GPUS=16', 'SRUN_ARGS=--time=1:00 --exclusive', 'bash',
                   TOOLS / 'slurm_train.sh', 'part', 'job', 'tiny.py', 'work',
                   '--cfg-options', 'a=1 2')
    assert result.returncode == 0, result.stderr
    words = result.stdout.splitlines()
    for word in ('--ntasks=16', '--ntasks-per-node=8', '--gres=gpu:8',
                 '--time=1:00', '--exclusive', 'a=1 2', 'slurm', 'work'):
        assert word in words
