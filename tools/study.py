#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Run a study: train all its cells, measure them, draw its figures.

    python tools/study.py configs/studies/small/maskers_stl10.py \
        --data-root data/stl10 --work-dir work_dirs/maskers --jobs 2
    python tools/study.py configs/studies/small/maskers_stl10.py \
        --data-root data/stl10 --work-dir work_dirs/maskers --dry-run

A cell is one training of the study with one seed, and its evaluations. Call
again to go on: finished cells are skipped, interrupted ones go on with their
last checkpoint, failed ones are tried again. Several processes or machines may
share a folder, and so may studies, whose common cells are trained once.
"""
import argparse
import os
import signal
import sys
from pathlib import Path

from sbam_mm.command_line import (
    KeyValues,
    ToolParser,
    add_trust,
    parses_first,
    sentence_of,
    tool,
    whole,
)


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('study', help='study file, e.g. of configs/studies')
    parser.add_argument(
        '--work-dir', help='where everything goes (default: work_dirs/<name '
        'of the study>)')
    parser.add_argument(
        '--data-root',
        help='folder of the data set, for configs that read DATA_ROOT')
    parser.add_argument(
        '--jobs', type=whole(1), default=1, metavar='N',
        help='run N cells at a time on this machine, on its one GPU if there '
        'is one (default: 1)')
    parser.add_argument(
        '--threads', type=whole(1), metavar='N',
        help='of each cell (default: OMP_NUM_THREADS, or the cores divided by '
        '--jobs)')
    parser.add_argument(
        '--processes', type=whole(1), default=1, metavar='N',
        help='train and evaluate each cell with N processes (GPUs) through '
        'tools/dist_train.sh (default: 1)')
    parser.add_argument(
        '--slurm', nargs='*', action=KeyValues, metavar='KEY=VALUE',
        help='hand the cells to SLURM as an array of jobs, at most --jobs at '
        'a time, with options of submitit, e.g. slurm_partition=gpu '
        'timeout_min=600 gpus_per_node=1')
    parser.add_argument(
        '--changed', action='store_true',
        help='train anew the cells that the study has changed under')
    parser.add_argument(
        '--dry-run', action='store_true', help='only say what would be run')
    parser.add_argument(
        '--draw-only', action='store_true',
        help='only make table and figures of what is finished')
    add_trust(parser)
    return parser.parse_args()


from sbam_mm.studies import read_study
from sbam_mm.studies.cells import Folder, seconds_left
from sbam_mm.studies.report import report
from sbam_mm.studies.run import run_here, submit
from sbam_mm.studies.study import Cell

TOOLS = Path(__file__).resolve().parent


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < 100:
        return f'{seconds:.0f} s'
    minutes = seconds / 60
    return f'{minutes:.0f} min' if minutes < 100 else f'{minutes / 60:.1f} h'


def estimate(folder: Folder, cells: list[Cell], jobs: int) -> str:
    """How long cells will take."""
    seconds = seconds_left(folder, cells, jobs)
    if seconds is None:
        return 'how long is known after the first cell'
    return (f'about {duration(seconds)}' +
            f', {jobs} at a time' * (jobs > 1))


def run(folder: Folder, left: list[Cell], args: argparse.Namespace,
        threads: int) -> int:
    """Does what is left; returns how many cells are not finished."""
    plans = {str(cell): folder.write(cell, args.processes, threads)
             for cell in left}
    folder.write_state()
    if args.slurm is not None:
        jobs = submit(list(plans.values()), TOOLS, folder.path / 'slurm',
                      args.jobs, threads, args.slurm)
        print(f'Submitted: {", ".join(jobs)}. The same command without '
              '--slurm, with --draw-only, shows what is finished.')
        return 0
    failed: dict[str, str] = {}
    ended = 0

    def say(name: str, what: str) -> None:
        nonlocal ended
        if what == 'starts':
            print(f'{name}: starts (output: {plans[name].parent}/output.txt)',
                  flush=True)
            return
        ended += 1
        if what == 'taken':
            what = 'another process is working on it'
        if what != 'finished':
            failed[name] = what
        try:
            report(folder)
        except Exception as error:
            # Cells are hours of work, a picture of some of them is none.
            print('No report of what is finished so far: '
                  f'{sentence_of(error) or repr(error)}', flush=True)
        rest = [cell for cell in left if folder.status(cell) != 'finished']
        print(f'[{ended}/{len(left)}] {name}: {what}' + (
            f'; {len(rest)} left, {estimate(folder, rest, args.jobs)}'
            if rest else ''), flush=True)

    run_here(plans, TOOLS, args.jobs, threads, say)
    for name, why in failed.items():
        print(f'Not finished: {name}: {why}')
    return len(failed)


@tool
def main() -> None:
    args = parse_args()
    # The default leaves the cells running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    study = read_study(args.study, args.data_root)
    folder = Folder(study, args.work_dir or Path('work_dirs') / study.name)
    if not args.changed:
        folder.check_changes()
    cells = study.cells
    statuses = {str(cell): folder.status(cell) for cell in cells}
    left = [cell for cell in cells if statuses[str(cell)] != 'finished']
    if args.dry_run:
        for name, status in statuses.items():
            print(f'{name:60} {status}')
        print(f'{len(left)} of {len(cells)} cells to do; '
              f'{estimate(folder, left, args.jobs)}.')
        return
    missing = 0
    if left and not args.draw_only:
        print(f'{len(left)} of {len(cells)} cells to do; '
              f'{estimate(folder, left, args.jobs)}.', flush=True)
        share = max(1, (os.cpu_count() or 1) // args.jobs)
        threads = args.threads or int(
            os.environ.get('OMP_NUM_THREADS', share))
        try:
            missing = run(folder, left, args, threads)
        except KeyboardInterrupt:
            print('\nStopped. The same command goes on from here.')
            sys.exit(130)
    print(f'Written: {", ".join(map(str, report(folder)))}')
    sys.exit(1 if missing else 0)


if __name__ == '__main__':
    main()
