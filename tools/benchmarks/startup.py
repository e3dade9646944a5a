#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""How long until the first iteration is done, in processes of their own.

    python tools/benchmarks/startup.py

tools/train.py and mmpretrain's train.py take turns with one and the same
config, mmpretrain's MAE at toy size for one iteration, so that what is left
is start-up; ``import sbam_mm.models`` takes turns with ``import mmpretrain``
and its models. Writes OUT.json and OUT.md.
"""
import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import ToolParser, parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--out', default='work_dirs/benchmarks/startup')
    return parser.parse_args()


import mmpretrain
import numpy as np
import paired
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
THEIRS = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / 'train.py'
CONFIG = """
default_scope = 'mmpretrain'
size = dict(patch_size=8)
model = dict(
    type='MAE',
    backbone=dict(type='MAEViT', arch=dict(
        embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32),
        img_size=32, mask_ratio=0.75, **size),
    neck=dict(type='MAEPretrainDecoder', num_patches=16, embed_dim=16,
              decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2,
              **size),
    head=dict(type='MAEPretrainHead', norm_pix=True, loss=dict(
        type='PixelReconstructionLoss', criterion='L2'), **size))
data_preprocessor = dict(
    type='SelfSupDataPreprocessor', mean=[127.] * 3, std=[50.] * 3)
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='CustomDataset', data_root='images', with_label=False,
                 pipeline=[dict(type='LoadImageFromFile'),
                           dict(type='PackInputs')]))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
train_cfg = dict(by_epoch=False, max_iters=1)
default_hooks = dict(checkpoint=None, logger=dict(
    type='LoggerHook', interval=1))
"""
QUESTIONS = {
    'import': ('python -c "import sbam_mm"', 'import mmpretrain'),
    'models': ('import of the models', 'import mmpretrain.models'),
    'first iteration': ('tools/train.py', "mmpretrain's train.py"),
}


def user_seconds(command: list, folder: str) -> float:
    """Seconds of CPU that a process and its children used."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', *command], cwd=folder,
        capture_output=True, text=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths))))
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime -
            before.ru_stime)


def commands(folder: Path) -> dict:
    """Ours and theirs, by question."""
    config = folder / 'config.py'
    config.write_text(CONFIG)
    (folder / 'images').mkdir()
    generator = np.random.default_rng(0)
    for i in range(4):
        pixels = generator.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / 'images' / f'{i}.png')
    end = ['config.py', '--work-dir', 'out']
    return {
        'import': (['-c', 'import sbam_mm'], ['-c', 'import mmpretrain']),
        'models': (['-c', 'import sbam_mm.models'],
                   ['-c', 'import mmpretrain.models']),
        'first iteration': ([str(ROOT / 'tools' / 'train.py'), *end],
                            [str(THEIRS), *end]),
    }


def measure(args: argparse.Namespace) -> dict:
    times: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = commands(Path(folder))
        for number in range(1 + args.rounds):
            for question, (own, other) in pairs.items():
                order = [('ours', own), ('theirs', other)]
                for who, command in order[::1 if number % 2 else -1]:
                    spent = user_seconds(command, folder)
                    if number:  # the first one reads from the disk
                        times.setdefault(question, {}).setdefault(
                            who, []).append(spent)
    return dict(
        environment=paired.environment(torch.device('cpu')),
        rounds=args.rounds,
        ratio={
            question: paired.ratios(spent, 'theirs')['ours']
            for question, spent in times.items()
        },
        seconds=times)


def table(result: dict) -> str:
    lines = [
        '# Start-up', '',
        'CPU time of whole processes that take turns; median over '
        f'{result["rounds"]} rounds [quartiles]. '
        f'{paired.where(result["environment"])}', '',
        'ours | over | ratio | ours, seconds', '---|---|---|---'
    ]
    for question, (own, other) in QUESTIONS.items():
        middle = paired.quartiles(result['seconds'][question]['ours']).median
        lines.append(f'{own} | {other} | '
                     f'{paired.Ratio(*result["ratio"][question])} | '
                     f'{middle:.2f}')
    return '\n'.join([*lines, ''])


def main() -> None:
    paired.report(parse_args(), measure, table)


if __name__ == '__main__':
    main()
