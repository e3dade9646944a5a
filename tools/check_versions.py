#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Install this project with other versions, train, and note what works.

    python tools/check_versions.py --stack onedl \
        --python 3.10 3.11 3.12 3.13 --torch 2.11.0
    python tools/check_versions.py --stack openmmlab --python 3.11 \
        --torch 2.5.1 --tests tests/masking tests/layers tests/models

Every combination gets an empty virtual environment, the documented `pip
install`, a training of two epochs that is stopped and resumed, and the tests
that are named. What came of it is a line of docs/versions.json, from which
docs/versions.md is written; a line of the same combination is replaced.
Environments take 6 GB each and are deleted.
"""
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from itertools import product
from pathlib import Path

from sbam_mm.command_line import ToolParser, parses_first, tool

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / 'docs/versions.json'
STACKS = ('onedl', 'openmmlab')
SHOWN = ('torch', 'torchvision', 'numpy', 'onedl-mmengine', 'onedl-mmcv',
         'onedl-mmpretrain', 'mmengine', 'mmcv', 'mmcv-lite', 'mmpretrain')
HEAD = """# Versions

What was installed in an empty environment as the README says, trained for two
epochs (`configs/small/sbam_small.py`, on the CPU) and resumed, by
`tools/check_versions.py`. The tested set, with which all tests pass, is
`constraints.txt`.
"""


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('--stack', nargs='+', choices=STACKS, default=STACKS[
        :1], help='OpenMMLab stacks (default: onedl, the maintained one)')
    parser.add_argument('--python', nargs='+', default=['3.11'],
                        metavar='VERSION', help='of pythonVERSION on the '
                        'PATH, or a path of one (default: 3.11)')
    parser.add_argument('--torch', nargs='+', required=True,
                        metavar='VERSION', help='exact versions')
    parser.add_argument('--tests', nargs='*', default=[], metavar='PATH',
                        help='also run these tests, but the slow ones')
    parser.add_argument('--work-dir', help='for environments and logs '
                        '(default: a temporary folder)')
    return parser.parse_args()


from sbam_mm.evaluation.results import markdown_table
from sbam_mm.files import read_json, write_json
from sbam_mm.visualization import center_crop, photographs


class Step(Exception):
    """What a combination failed at, and its last words."""


def call(name: str, log: Path, *command: object) -> str:
    """Run one step; its output goes to the log and is returned.

    Raises:
        Step: If it fails.
    """
    words = list(map(str, command))
    ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                           stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    with open(log, 'a', encoding='utf-8') as file:
        file.write(f'$ {" ".join(words)}\n{ended.stdout}\n')
    if ended.returncode:
        lines = [line.strip() for line in ended.stdout.splitlines()
                 if re.search(r'error', line, re.I)]
        raise Step(f'{name}: {lines[0] if lines else ended.returncode}'[:300])
    return ended.stdout


def install(python: str, torch: str, stack: str, env: Path,
            log: Path) -> dict[str, str]:
    """Make the environment; returns the versions that pip chose."""
    found = shutil.which(python) or shutil.which(f'python{python}')
    if found is None:
        raise Step(f'install: there is no python{python}')
    call('venv', log, found, '-m', 'venv', env)
    pip = [env / 'bin/python', '-m', 'pip', '--disable-pip-version-check']
    call('install', log, *pip, 'install', '-q', '--upgrade', 'pip')
    call('install', log, *pip, 'install', '-q', f'torch=={torch}',
         'torchvision')
    call('install', log, *pip, 'install', '-q', '-e',
         f'{ROOT}[{stack},report]', f'torch=={torch}', 'pytest')
    listed = call('install', log, *pip, 'list', '--format=freeze')
    known = dict(line.split('==') for line in listed.splitlines()
                 if '==' in line)
    return {name: known[name] for name in SHOWN if name in known}


def write_images(folder: Path) -> Path:
    """A few crops of photographs in class folders."""
    from PIL import Image
    for part, crops in (('train', 4), ('test', 2)):
        for name, picture in photographs().items():
            target = folder / part / name
            target.mkdir(parents=True)
            for i in range(crops):
                Image.fromarray(center_crop(picture, 40 + 16 * i)).save(
                    target / f'{i}.png')
    return folder


def train(env: Path, images: Path, work: Path, log: Path) -> None:
    """Two epochs, the second one resumed."""
    for epochs, more in ((1, ()), (2, ('--resume', '--resume-anyway'))):
        call('training', log, env / 'bin/python', '-W', 'ignore',
             ROOT / 'tools/train.py', ROOT / 'configs/small/sbam_small.py',
             '--data-root', images, '--work-dir', work, *more, '--cfg-options',
             f'train_cfg.max_epochs={epochs}', 'train_dataloader.batch_size=4',
             'train_dataloader.num_workers=0')
    if not (work / 'epoch_2.pth').is_file():
        raise Step('training: no epoch_2.pth was written')


def run_tests(env: Path, paths: list[str], log: Path) -> str:
    """The last line of pytest, e.g. "700 passed, 29 failed"."""
    try:
        said = call('tests', log, env / 'bin/python', '-W', 'ignore', '-m',
                    'pytest', '-q', '-m', 'not slow', *paths)
    except Step:
        said = log.read_text(encoding='utf-8')
    counts = re.findall(r'(\d+) (passed|failed|skipped|error)', said)
    last = {what: number for number, what in counts}
    return ', '.join(f'{last[what]} {what}' for what in (
        'passed', 'failed', 'error', 'skipped') if what in last)


def check(python: str, torch: str, stack: str, tests: list[str],
          place: Path) -> dict[str, object]:
    """One line of the record."""
    name = f'{stack}-torch{torch}-python{Path(python).name}'
    env, log = place / f'{name}-env', place / f'{name}.log'
    line: dict[str, object] = dict(
        stack=stack, torch=torch, python=python, versions={}, tests='',
        date=datetime.now(timezone.utc).date().isoformat())
    try:
        line['versions'] = install(python, torch, stack, env, log)
        train(env, write_images(place / f'{name}-images'),
              place / f'{name}-work', log)
        line['result'] = 'trains'
        if tests:
            line['tests'] = (f'{run_tests(env, tests, log)} '
                             f'({", ".join(tests)})')
    except Step as step:
        line['result'] = str(step)
    shutil.rmtree(env, ignore_errors=True)
    return line


def page(lines: list[dict]) -> str:
    """The text of docs/versions.md."""
    return HEAD + '\n' + markdown_table(
        ['stack', 'Python', 'torch', 'result', 'tests', 'others', 'date'],
        [[line['stack'], line['python'], line['torch'], line['result'],
          line['tests'] or '–',
          ', '.join(f'{name} {version}' for name, version
                    in line['versions'].items() if name != 'torch') or '–',
          line['date']] for line in lines])


@tool
def main() -> None:
    args = parse_args()
    place = Path(args.work_dir or tempfile.mkdtemp(prefix='versions-'))
    place.mkdir(parents=True, exist_ok=True)
    failed = 0
    for stack, python, torch in product(args.stack, args.python, args.torch):
        line = check(python, torch, stack, args.tests, place)
        lines = read_json(RECORD, lines=list)['lines'] if (
            RECORD.is_file()) else []
        key = (stack, python, torch)
        lines = [one for one in lines if key != (
            one['stack'], one['python'], one['torch'])] + [line]
        lines.sort(key=lambda one: (
            STACKS.index(one['stack']),
            [int(n) for n in re.findall(r'\d+', one['torch'])],
            [int(n) for n in re.findall(r'\d+', one['python'])]))
        write_json(RECORD, dict(lines=lines))
        RECORD.with_suffix('.md').write_text(page(lines), encoding='utf-8')
        failed += line['result'] != 'trains'
        print(f'{stack}, Python {python}, torch {torch}: {line["result"]}'
              f'{"; " + str(line["tests"]) if line["tests"] else ""}',
              flush=True)
    print(f'Logs: {place}')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
