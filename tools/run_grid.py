#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Train one config with every masker at every ratio with every seed.

    python tools/run_grid.py configs/grids/pimr_small.py --data-root DATA
    python tools/run_grid.py --config configs/small/mae_small.py \
        --maskers random,sbm,sbam --ratios 0.6,0.75,0.9 --seeds 0,1,2

Every run is a call of tools/train.py in a folder of its own below the
--work-dir, where all results are gathered in runs.csv. Call again to go on:
finished runs are skipped, interrupted ones go on with their last checkpoint,
failed ones are tried again. Several processes or machines may share a folder.
"""
import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from sbam_mm.command_line import (
    SEED,
    KeyValues,
    ToolParser,
    add_trust,
    parses_first,
    tool,
    whole,
)


def listed(kind):
    """A comma-separated list of an option."""

    def parse(text: str) -> list:
        return [kind(word.strip()) for word in text.split(',')]

    # argparse says "invalid ... value" with this name.
    parse.__name__ = f'list of {kind.__name__}'
    return parse


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('grid', nargs='?', help='grid file')
    parser.add_argument('--config', help='config of the training')
    parser.add_argument(
        '--maskers', type=listed(str), metavar='A,B,...',
        help='short names, e.g. random,sbm,sbam')
    parser.add_argument(
        '--ratios', type=listed(float), metavar='R,...',
        help='masking ratios, e.g. 0.6,0.75,0.9')
    parser.add_argument(
        '--seeds', type=listed(SEED), metavar='N,...', help='e.g. 0,1,2')
    parser.add_argument(
        '--rounding', choices=('floor', 'ceil', 'own'),
        help='of the visible tokens, the same for all maskers, or of each '
        "its own (default: the grid file's, or floor)")
    parser.add_argument(
        '--epochs', type=whole(1), metavar='N',
        help="of each run, schedules scaled (default: the config's)")
    parser.add_argument(
        '--data-root',
        help='folder of the data set, for configs that read DATA_ROOT')
    parser.add_argument(
        '--cfg-options', nargs='+', action=KeyValues, metavar='KEY=VALUE',
        help='override values of the config')
    parser.add_argument(
        '--work-dir', help='where everything goes (default: work_dirs/<name '
        'of grid or config>)')
    parser.add_argument(
        '--shard', metavar='I/N', default='1/1',
        help='do the I-th of N parts, for several machines')
    parser.add_argument(
        '--processes', type=whole(1), default=1, metavar='N',
        help='train each run with N processes (GPUs) through '
        'tools/dist_train.sh (default: 1)')
    parser.add_argument(
        '--dry-run', action='store_true', help='only say what would be run')
    add_trust(parser)
    return parser.parse_args()


from sbam_mm.engine.grid import (
    RESULT,
    Cell,
    Grid,
    config_hash,
    read_grid_file,
    read_result,
    read_results,
    shard,
)
from sbam_mm.engine.run_lock import RunIsTaken, RunLock
from sbam_mm.engine.run_log import read_scalars, training_summary
from sbam_mm.environment import collect_versions
from sbam_mm.errors import UserError
from sbam_mm.evaluation.run_table import write_run_table
from sbam_mm.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
HARDWARE = ('Processor', 'Accelerators', 'System')
# How an exception ends its traceback, and a tool its complaint.
ERROR = re.compile(r'^(error: |(\w+\.)*\w*(Error|Exception|Interrupt)\b)')


def make_grid(args: argparse.Namespace) -> Grid:
    """The grid file's grid, overruled by the command line."""
    content = read_grid_file(args.grid) if args.grid else {}
    for name in ('config', 'maskers', 'ratios', 'seeds', 'epochs',
                 'data_root'):
        value = getattr(args, name)
        if value is not None:
            content[name] = value
    if args.rounding is not None:
        content['rounding'] = None if args.rounding == 'own' else args.rounding
    content['cfg_options'] = {
        **content.get('cfg_options', {}),
        **(args.cfg_options or {})
    }
    lacking = [name for name in ('config', 'maskers', 'ratios', 'seeds')
               if name not in content]
    if lacking:
        raise UserError(
            'the grid is not complete: give a grid file or '
            f'{" and ".join(f"--{name}" for name in lacking)}.')
    return Grid(**content)


def git_commit() -> str:
    """Of the checkout this tool is in, "-dirty" if changed, or ""."""
    def git(*words: str) -> str:
        try:
            return subprocess.run(['git', '-C', ROOT, *words],
                                  capture_output=True, text=True,
                                  check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ''

    # An installed copy may lie within somebody else's checkout.
    top = git('rev-parse', '--show-toplevel')
    if not top or Path(top).resolve() != ROOT:
        return ''
    return git('describe', '--always', '--dirty', '--abbrev=40',
               '--exclude=*')


def last_error(output: str, code: int) -> str:
    """The sentence that says why a training ended."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        if ERROR.match(line):
            return line.removeprefix('error: ')
    if code < 0:
        name = signal.Signals(-code).name
        return (f'ended by {name}' +
                (', often for want of memory' if name == 'SIGKILL' else ''))
    return lines[-1] if lines else f'ended with exit code {code}'


class Driver:
    """Does the runs of a grid, one after the other, and keeps the books."""

    def __init__(self, grid: Grid, args: argparse.Namespace) -> None:
        self.grid = grid
        name = Path(args.grid or grid.config).stem
        self.folder = Path(args.work_dir or Path('work_dirs') / name)
        self.processes = args.processes
        part, _, parts = args.shard.partition('/')
        if not (part.isdecimal() and parts.isdecimal()):
            raise UserError('--shard is I/N, e.g. 1/4 for the first of four '
                            f'parts, got {args.shard!r}.')
        self.cells = shard(grid.cells, int(part), int(parts))
        self.configs = {cell: grid.run_config(cell) for cell in self.cells}
        self.hashes = {
            cell: config_hash(cfg) for cell, cfg in self.configs.items()
        }
        for cell in self.cells:
            before = self.result(cell).get('config_hash')
            if before not in (None, self.hashes[cell]):
                raise UserError(
                    f'{self.folder / cell.folder} holds a run of another '
                    f'configuration ({before}, now {self.hashes[cell]}); '
                    'choose another --work-dir or delete that folder.')

    def result(self, cell: Cell) -> dict:
        """What is known of a run."""
        path = self.folder / cell.folder / RESULT
        return read_result(path) if path.is_file() else {}

    def status(self, cell: Cell) -> str:
        return self.result(cell).get('status', 'to do')

    def estimate(self, cells: list[Cell]) -> str:
        """How long runs will take, from those that are finished."""
        seconds = [one['seconds'] for one in read_results(self.folder)
                   if one['status'] == 'finished']
        if not seconds:
            return 'how long is known after the first run'
        left = len(cells) * sum(seconds) / len(seconds)
        return f'about {duration(left)}'

    def plan(self) -> None:
        """Says what would be run."""
        left = []
        for cell in self.cells:
            status = self.status(cell)
            print(f'{str(cell):40} {status}')
            if status != 'finished':
                left.append(cell)
        print(f'{len(left)} of {len(self.cells)} runs to do; '
              f'{self.estimate(left)}.')

    def run(self) -> int:
        """Does all runs; returns how many did not succeed."""
        self.facts = self.provenance()
        statuses: list[str] = []
        for number, cell in enumerate(self.cells, start=1):
            head = f'[{number}/{len(self.cells)}] {cell}:'
            try:
                with RunLock(self.folder / cell.folder / 'run.lock') as lock:
                    if lock.note:
                        print(head, lock.note, flush=True)
                    if self.status(cell) == 'finished':
                        statuses.append('skipped')
                        print(head, 'already finished', flush=True)
                        continue
                    statuses.append(self.train(cell, lock, head))
            except RunIsTaken as taken:
                statuses.append('taken')
                print(head, taken, flush=True)
                continue
            self.write_table()
            left = [c for c in self.cells[number:]
                    if self.status(c) != 'finished']
            if left:
                print(f'  {len(left)} left, {self.estimate(left)}',
                      flush=True)
        self.write_table()
        counts = ', '.join(f'{statuses.count(s)} {s}'
                           for s in dict.fromkeys(statuses))
        print(f'{counts}. Table: {self.folder / "runs.csv"}')
        return statuses.count('failed') + statuses.count('taken')

    def provenance(self) -> dict:
        """What all runs of this call have in common."""
        facts = collect_versions()
        return dict(
            config=self.grid.config,
            base_hash=self.grid.base_hash(),
            commit=git_commit(),
            versions=', '.join(f'{name} {text}' for name, text in
                               facts.items() if name not in HARDWARE),
            hardware='; '.join(facts[name] for name in HARDWARE
                               if name in facts))

    def train(self, cell: Cell, lock: RunLock, head: str) -> str:
        """One run, from its last checkpoint if there is one."""
        folder = self.folder / cell.folder
        before = self.result(cell)
        result = dict(
            masker=cell.masker,
            ratio=cell.ratio,
            seed=cell.seed,
            status='running',
            seconds=before.get('seconds', 0.),
            started=before.get('started') or datetime.now(
                timezone.utc).isoformat(timespec='seconds'),
            config_hash=self.hashes[cell],
            **self.facts,
            work_dir=str(folder))
        write_result(folder, result)
        resume = any(folder.glob('*.pth'))
        print(head, 'goes on' if resume else 'starts',
              f'(output: {folder / "output.txt"})', flush=True)
        self.configs[cell].dump(folder / 'run_config.py')
        start = time.monotonic()
        try:
            code, output = self.call(folder, resume, lock)
        finally:
            result['status'] = 'interrupted'
            result['seconds'] = round(
                result['seconds'] + time.monotonic() - start, 1)
            write_result(folder, result)
        result['status'] = 'finished' if code == 0 else 'failed'
        if code:
            result['error'] = last_error(output, code)
            print(f'  failed: {result["error"]}', flush=True)
        else:
            batch = self.configs[cell].train_dataloader.batch_size
            summary = training_summary(
                read_scalars(folder), batch * self.processes)
            result.update(summary)
            print(f'  finished: {described(summary)}'
                  f'{duration(result["seconds"])}', flush=True)
        write_result(folder, result)
        return result['status']

    def call(self, folder: Path, resume: bool,
             lock: RunLock) -> tuple[int, str]:
        """tools/train.py in a process of its own: its exit code and output.

        A run that is killed, or breaks the GPU, takes no other with it.
        """
        options = ['--work-dir', folder] + ['--resume'] * resume
        config = folder / 'run_config.py'
        if self.processes == 1:
            command = [sys.executable, ROOT / 'tools/train.py', config]
        else:
            command = ['bash', ROOT / 'tools/dist_train.sh', config,
                       self.processes]
        words = [str(word) for word in [*command, *options]]
        paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
        env = dict(os.environ, PYTHON=sys.executable,
                   PYTHONPATH=os.pathsep.join(filter(None, paths)))
        with open(folder / 'output.txt', 'ab+') as file:
            file.write(f'$ {shlex.join(words)}\n'.encode())
            file.flush()
            start = file.tell()
            process = subprocess.Popen(
                words, stdout=file, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, env=env, start_new_session=True,
                pass_fds=(lock.fileno(), ))
            try:
                code = process.wait()
            except BaseException:  # Ctrl-C, or told to end
                stop(process)
                raise
            file.seek(start)
            return code, file.read().decode(errors='replace')

    def write_table(self) -> None:
        """Gathers all results, also those that others have written."""
        rows = None
        # Until nobody has added one since the table was read: the last to
        # write has then seen all.
        while rows != (now := list(read_results(self.folder))):
            rows = now
            write_run_table(self.folder / 'runs.csv', rows)


def write_result(folder: Path, result: dict) -> None:
    write_atomically(folder / RESULT,
                     f'{json.dumps(result, indent=1)}\n'.encode())


def stop(process: subprocess.Popen) -> None:
    """Ends a training and the processes it has started."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(20)
            break
        except subprocess.TimeoutExpired:
            continue


def described(summary: dict) -> str:
    """The numbers of a run that a person wants to see at once."""
    texts = dict(knn_top1='kNN {:.2f} %', visible_tokens='{:.1f} visible '
                 'tokens', images_per_second='{:.0f} images/s')
    return ''.join(text.format(summary[key]) + ', '
                   for key, text in texts.items()
                   if summary[key] is not None)


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    minutes = seconds / 60
    return f'{minutes:.0f} min' if minutes < 100 else f'{minutes / 60:.1f} h'


@tool
def main() -> None:
    args = parse_args()
    # The default leaves the training running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    driver = Driver(make_grid(args), args)
    if args.dry_run:
        driver.plan()
        return
    try:
        failed = driver.run()
    except KeyboardInterrupt:
        print('\nStopped. The same command goes on from here.')
        sys.exit(130)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
