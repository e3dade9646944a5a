# Copyright (c) OpenMMLab. All rights reserved.
"""Run the cells of a study: here, several at a time, or by SLURM."""
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.extra_libraries import extra_library
from sbam_mm.files import read_json, write_json

from .cells import RESULT
from .run_cell import TAKEN

# How an exception ends its traceback, and a tool its complaint.
ERROR = re.compile(r'^(error: |(\w+\.)*\w*(Error|Exception|Interrupt)\b)')


# Of SLURM's options, which submitit hands on as they are.
NUMBERS = ('timeout_min', 'cpus_per_task', 'gpus_per_node', 'mem_gb')


class CellProcess:
    """The process of one cell, in a group of its own, with a log.

    A cell that is killed, or breaks the GPU, takes no other with it.
    """

    def __init__(self, tools: Path, plan: Path, threads: int) -> None:
        self.folder = plan.parent
        paths = [str(tools.parent), os.environ.get('PYTHONPATH', '')]
        env = dict(os.environ, OMP_NUM_THREADS=str(threads),
                   PYTHONPATH=os.pathsep.join(filter(None, paths)))
        self.log = self.folder / 'output.txt'
        self.began = time.monotonic()
        with open(self.log, 'ab') as file:
            self.offset = file.tell()
            self.process = subprocess.Popen(
                [sys.executable, '-W', 'ignore', '-m',
                 'sbam_mm.studies.run_cell', str(tools), str(plan)],
                stdout=file, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, env=env, start_new_session=True)

    def ended(self) -> str | None:
        """None, finished, taken, or why it has failed; notes it down."""
        code = self.process.poll()
        if code is None:
            return None
        if code == TAKEN:
            return 'taken'
        error = '' if code == 0 else self.last_error(code)
        self.note('failed' if code else 'finished', error)
        return error or 'finished'

    def note(self, status: str, error: str = '') -> None:
        path = self.folder / RESULT
        # Without a result it failed before it began.
        result = read_json(path) if path.is_file() else {}
        seconds = result.get('seconds', 0.) + time.monotonic() - self.began
        write_json(path, dict(
            result, status=status, seconds=round(seconds, 1), error=error))

    def last_error(self, code: int) -> str:
        """The sentence that says why a cell ended."""
        with open(self.log, 'rb') as file:
            file.seek(self.offset)
            text = file.read().decode(errors='replace')
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        for line in reversed(lines):
            if ERROR.match(line):
                return line.removeprefix('error: ')
        if code < 0:
            name = signal.Signals(-code).name
            return (f'ended by {name}' + (', often for want of memory'
                                          if name == 'SIGKILL' else ''))
        return lines[-1] if lines else f'ended with exit code {code}'

    def stop(self) -> None:
        """Ends the cell and the processes it has started."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, how)
            except ProcessLookupError:
                break
            try:
                self.process.wait(20)
                break
            except subprocess.TimeoutExpired:
                continue
        self.note('interrupted')


def run_here(plans: Mapping[str, Path], tools: Path, jobs: int, threads: int,
             say: Callable[[str, str], None]) -> None:
    """Run cells, ``jobs`` at a time; ``say`` hears of begins and ends.

    Args:
        plans (Mapping[str, Path]): By the name of the cell.
    """
    waiting = list(plans.items())
    running: dict[str, CellProcess] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name, plan = waiting.pop(0)
                running[name] = CellProcess(tools, plan, threads)
                say(name, 'starts')
            time.sleep(.1)
            for name, cell in list(running.items()):
                end = cell.ended()
                if end is not None:
                    del running[name]
                    say(name, end)
    finally:  # Ctrl-C, or told to end
        for cell in running.values():
            cell.stop()


class SlurmCell:
    """What SLURM runs; a job that is stopped goes back into the queue."""

    def __init__(self, tools: Path, threads: int) -> None:
        self.tools, self.threads = tools, threads

    def __call__(self, plan: str) -> str:
        cell = CellProcess(self.tools, Path(plan), self.threads)
        cell.process.wait()
        return str(cell.ended())

    def checkpoint(self, plan: str) -> Any:
        from submitit.helpers import DelayedSubmission
        return DelayedSubmission(self, plan)


def submit(plans: Sequence[Path], tools: Path, folder: Path, jobs: int,
           threads: int, options: Mapping[str, Any]) -> list[str]:
    """Hand cells to SLURM as an array of jobs; returns their numbers.

    Args:
        options (Mapping): Of submitit's ``update_parameters``, e.g.
            ``slurm_partition``; ``cluster='local'`` runs them on this machine.
    """
    submitit = extra_library('submitit', 'studies', '--slurm')
    for name in NUMBERS:
        if not isinstance(options.get(name, 0), (int, float)):
            raise UserError(f'--slurm {name}={options[name]} is no number.')
    chosen = {
        'timeout_min': 60, 'cpus_per_task': threads,
        'slurm_array_parallelism': jobs, **options}
    try:
        executor: Any = submitit.AutoExecutor(
            folder=folder, cluster=chosen.pop('cluster', 'slurm'))
        executor.update_parameters(**chosen)
        found = executor.map_array(SlurmCell(tools, threads),
                                   list(map(str, plans)))
    except (NameError, TypeError, RuntimeError, ValueError,
            FileNotFoundError,
            submitit.core.utils.FailedSubmissionError) as error:
        raise UserError(f'SLURM was not given the cells: {error}') from error
    return [str(job.job_id) for job in found]
