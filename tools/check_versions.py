#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Install this project with other versions, train, resume and test.

    python tools/check_versions.py
    python tools/check_versions.py --rows onedl/2.11.0/3.11

Every row (stack/torch/Python) gets an empty virtual environment, the README's
`pip install`, two epochs of configs/small/sbam_small.py, the second once more
from the checkpoint of the first, and the tests. The Pythons are found as
python3.11 and the like. Rows go into docs/versions.json, of which
docs/versions.md is made, as each ends; without --rows, those that are missing
there. An environment takes up to 6 GB, and is deleted after its row.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sbam_mm.command_line import ToolParser, parses_first, tool

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / 'docs/versions.json'
ROWS = ('onedl/2.6.0/3.10', 'onedl/2.11.0/3.11', 'onedl/2.14.1/3.12',
        'onedl/2.14.1/3.13', 'onedl/2.15.0/3.13', 'openmmlab/2.5.1/3.11')
TESTS = ('tests/masking', 'tests/layers', 'tests/models')


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument(
        '--rows', nargs='+', metavar='STACK/TORCH/PYTHON',
        help=f'(default: those of {", ".join(ROWS)} without an entry)')
    parser.add_argument(
        '--tests', nargs='*', default=TESTS, metavar='PATH',
        help=f'without the slow ones (default: {" ".join(TESTS)})')
    parser.add_argument('--work-dir', help='for environments and logs '
                        '(default: a temporary folder)')
    return parser.parse_args()


from sbam_mm.errors import UserError
from sbam_mm.evaluation.results import markdown_table
from sbam_mm.files import read_json, write_atomically, write_json
from sbam_mm.visualization import center_crop, photographs

HEAD = f"""# Versions

`tools/check_versions.py` installs the project into empty environments as the
README says, trains `configs/small/sbam_small.py` for two epochs on the CPU,
repeats the second from the checkpoint of the first, which must give the same
weights, and runs {', '.join(f'`{name}`' for name in TESTS)}
without the slow tests, or those that a row names. "import" is what
`sbam_mm.masking` takes after torch.
All tests run, in continuous integration, with the one set of versions of
`constraints.txt`.

"""
INSTALLED = ('torch', 'torchvision', 'numpy', 'onedl-mmengine', 'onedl-mmcv',
             'onedl-mmpretrain', 'mmengine', 'mmcv-lite', 'mmpretrain')
IMPORT = """
import time, torch
begin = time.perf_counter()
import sbam_mm.masking
print(f'{time.perf_counter() - begin:.2f}')
"""
EQUAL = """
import sys, torch
from sbam_mm.safe_loading import read_checkpoint
one, other = (read_checkpoint(path)['state_dict'] for path in sys.argv[1:])
assert one.keys() == other.keys()
different = [key for key in one if not torch.equal(one[key], other[key])]
sys.exit(f'error: {len(different)} tensors differ' if different else 0)
"""


class Failed(Exception):
    """What a row failed at, in a few words."""


class Environment:
    """A virtual environment and the log of what was done in it."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.python, self.log = folder / 'bin/python', log

    def run(self, step: str, *command: object, check: bool = True) -> str:
        """Run this Python; what it prints is logged and returned.

        Raises:
            Failed: If it does, with the step and the first error it printed.
        """
        words = [str(self.python), *map(str, command)]
        with open(self.log, 'a+', encoding='utf-8') as log:
            print('$', *words, file=log, flush=True)
            begin = log.tell()
            ended = subprocess.run(
                words, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, cwd=ROOT,
                env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=''))
            log.seek(begin)
            said = log.read()
        if ended.returncode and check:
            line = next((line.strip() for line in said.splitlines()
                         if 'error' in line.lower()), ended.returncode)
            raise Failed(f'fails at {step}: {line}'[:200])
        return said

    def install(self, torch: str, stack: str) -> dict[str, str]:
        """As the README says; returns the versions that pip chose."""
        pip = ('-m', 'pip', '--disable-pip-version-check')
        try:
            self.run('torch', *pip, 'install', '-q', f'torch=={torch}',
                     'torchvision')
        except Failed as failed:
            raise Failed(f'not measured: pip found no torch {torch}') from (
                failed)
        self.run('installation', *pip, 'install', '-q', '-e',
                 f'{ROOT}[{stack},report]')
        self.run('installation', *pip, 'install', '-q', 'pytest')
        listed = self.run('installation', *pip, 'list', '--format=freeze')
        known = dict(line.split('==') for line in listed.splitlines()
                     if '==' in line)
        return {name: known[name] for name in INSTALLED if name in known}

    def train(self, images: Path, work: Path) -> None:
        """Two epochs, the second one twice."""
        command = ('-W', 'ignore', ROOT / 'tools/train.py',
                   ROOT / 'configs/small/sbam_small.py', '--work-dir', work,
                   '--data-root', images, '--cfg-options',
                   'train_cfg.max_epochs=2', 'train_dataloader.batch_size=4',
                   'train_dataloader.num_workers=0')
        self.run('training', *command)
        last = work / 'epoch_2.pth'
        whole = last.rename(work.parent / 'whole.pth')
        (work / 'last_checkpoint').write_text(str(work / 'epoch_1.pth'))
        self.run('resuming', *command, '--resume')
        self.run('resuming', '-c', EQUAL, whole, last)

    def test(self, paths: list[str], report: Path) -> dict[str, Any]:
        """How many tests passed, which failed, and why others were skipped."""
        self.run('tests', '-W', 'ignore', '-m', 'pytest', '-q', '-m',
                 'not slow', f'--junitxml={report}', *paths, check=False)
        failed, skipped, passed = {}, Counter(), 0
        for case in ElementTree.parse(report).iter('testcase'):
            ended = next((one for one in case if one.tag in (
                'failure', 'error', 'skipped')), None)
            why = '' if ended is None else (
                ended.get('message') or '').split('\n')[0][:160]
            if ended is None:
                passed += 1
            elif ended.tag == 'skipped':
                skipped[why] += 1
            else:
                failed[f'{case.get("classname")}.{case.get("name")}'] = why
        return dict(tests=list(paths), passed=passed, failed=failed,
                    skipped=dict(skipped))


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


def check(row: str, tests: list[str], place: Path) -> dict[str, Any]:
    """The entry of a row."""
    stack, torch, python = row.split('/')
    place = place / row.replace('/', '-')
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    entry: dict[str, Any] = dict(
        date=datetime.now(timezone.utc).date().isoformat())
    found = shutil.which(f'python{python}')
    try:
        if found is None:
            raise Failed(f'not measured: there was no Python {python}')
        subprocess.run([found, '-m', 'venv', place / 'env'], check=True)
        env = Environment(place / 'env', place / 'log.txt')
        entry['versions'] = env.install(torch, stack)
        entry['import_seconds'] = min(
            float(env.run('import', '-c', IMPORT)) for _ in range(3))
        env.train(write_images(place / 'images'), place / 'work')
        entry['result'] = 'trains, resumes exactly'
        if tests:
            entry.update(env.test(tests, place / 'tests.xml'))
    except Failed as failed:
        entry['result'] = str(failed)
    finally:
        shutil.rmtree(place / 'env', ignore_errors=True)
    return entry


def order(row: str) -> tuple:
    """By stack, then by the numbers of the versions."""
    stack, *versions = row.split('/')
    return stack, [list(map(int, re.findall(r'\d+', version)))
                   for version in versions]


def page(rows: dict[str, dict]) -> str:
    """The text of docs/versions.md; a person may add a "note" to a row."""
    missing = dict(result='not measured yet', date='–')
    rows = {row: rows.get(row, missing)
            for row in sorted({*rows, *ROWS}, key=order)}
    table = markdown_table(
        ['stack', 'torch', 'Python', 'result', 'passed', 'failed', 'skipped',
         'import', 'date'],
        [[*row.split('/'), entry['result'], str(entry.get('passed', '–')),
          str(len(entry['failed'])) if 'failed' in entry else '–',
          str(sum(entry['skipped'].values())) if 'skipped' in entry else '–',
          f'{entry["import_seconds"]} s' if 'import_seconds' in entry else '–',
          entry['date']] for row, entry in rows.items()])
    details = ''
    for row, entry in rows.items():
        if 'versions' not in entry:
            continue
        details += '\n## {} with torch {}, Python {}\n\n'.format(
            *row.split('/'))
        versions = entry['versions'].items()
        details += ', '.join(map(' '.join, versions)) + '\n\n'
        if 'tests' in entry:
            details += f'Tests: {", ".join(entry["tests"])}.\n\n'
        details += f'{entry["note"]}\n\n' if 'note' in entry else ''
        details += ''.join(
            f'- failed: `{name}`: {why}\n'
            for name, why in entry.get('failed', {}).items())
        details += ''.join(
            f'- skipped, {count}: {why}\n'
            for why, count in entry.get('skipped', {}).items())
    return HEAD + table + details.rstrip() + '\n'


@tool
def main() -> None:
    args = parse_args()
    rows = read_json(RECORD, rows=dict)['rows'] if RECORD.is_file() else {}
    for row in args.rows or ():
        if row.count('/') != 2 or not row.startswith(('onedl/', 'openmmlab/')):
            raise UserError(f'{row!r} is no row; write it like {ROWS[0]}.')
    place = Path(args.work_dir or tempfile.mkdtemp(prefix='versions-'))
    for row in args.rows or [row for row in ROWS if row not in rows]:
        rows[row] = check(row, args.tests, place)
        rows = {row: rows[row] for row in sorted(rows, key=order)}
        write_json(RECORD, dict(rows=rows))
        write_atomically(RECORD.with_suffix('.md'), page(rows).encode())
        print(f'{row}: {rows[row]["result"]}', flush=True)
    print(f'Logs: {place}')
    sys.exit(any('fails' in entry['result'] or entry.get('failed')
                 for entry in rows.values()))


if __name__ == '__main__':
    main()
