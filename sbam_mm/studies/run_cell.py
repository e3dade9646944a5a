# Copyright (c) OpenMMLab. All rights reserved.
"""One cell of a study: its training, and what is measured of it.

    python -m sbam_mm.studies.run_cell TOOLS PLAN

Tools of one process are called within this one, so that what they all import
is imported once.
"""
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sbam_mm.engine.run_lock import RunIsTaken, RunLock
from sbam_mm.environment import collect_versions, git_commit
from sbam_mm.files import write_json

# What a process ends with whose cell another one has.
TAKEN = 75
HARDWARE = ('Processor', 'Accelerators', 'System')


def call_tool(tools: Path, name: str, processes: int, *args: Any) -> None:
    """A tool as a user would start it, in this process if one is enough.

    Raises:
        SystemExit: If it fails, after its sentence.
    """
    words = [str(word) for word in args]
    if processes > 1:
        # The number of processes comes after the first argument.
        words[1:1] = [str(processes)]
        script = tools / f'dist_{name}.sh'
        code = subprocess.call(['bash', str(script), *words],
                               env=dict(os.environ, PYTHON=sys.executable))
        if code:
            sys.exit(code)
        return
    spec = importlib.util.spec_from_file_location(
        f'tool_{name}', tools / f'{name}.py')
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.argv = [f'{name}.py', *words]
    print(f'$ {" ".join(sys.argv)}', flush=True)
    module.main()


def run_plan(tools: Path, plan: dict[str, Any]) -> None:
    """Train what is not trained, and evaluate what is not evaluated."""
    folder, processes = Path(plan['folder']), plan['processes']
    config = folder / 'run_config.py'
    if not plan['trained']:
        resume = ['--resume'] * any(folder.glob('*.pth'))
        call_tool(tools, 'train', processes, config, '--work-dir', folder,
                  *resume)
    for part in plan['evaluations']:
        checkpoint = folder / f'epoch_{part["epoch"]}.pth'
        if not checkpoint.is_file():
            sys.exit(f'error: {checkpoint} is gone, or was not kept when this '
                     f'cell was trained; delete {folder} to train it anew.')
        changes = ['--set', *part['changes']] if part['changes'] else []
        call_tool(
            tools, 'evaluate', processes, checkpoint, '--config', config,
            '--data', plan['data'], '--out', part['out'], '--protocol',
            ','.join(part['protocols']), '--seed', plan['seed'],
            '--workers', min(4, plan['threads']), *changes, *part['options'])
        # Made again where another protocol asks for them.
        shutil.rmtree(Path(part['out']) / 'features', ignore_errors=True)


def main() -> None:
    tools, path = Path(sys.argv[1]), Path(sys.argv[2])
    plan = json.loads(path.read_text())
    folder = Path(plan['folder'])
    try:
        with RunLock(folder / 'cell.lock'):
            from .cells import RESULT
            before = {}
            with suppress(OSError, ValueError):
                before = json.loads((folder / RESULT).read_text())
            facts = collect_versions()
            write_json(folder / RESULT, dict(
                cell=plan['cell'], status='running',
                seconds=before.get('seconds', 0.),
                started=before.get('started') or datetime.now(
                    timezone.utc).isoformat(timespec='seconds'),
                commit=git_commit(tools.parent),
                versions=', '.join(f'{name} {text}' for name, text in
                                   facts.items() if name not in HARDWARE),
                hardware='; '.join(facts[name] for name in HARDWARE
                                   if name in facts),
                threads=plan['threads'], processes=plan['processes']))
            run_plan(tools, plan)
    except RunIsTaken as taken:
        print(taken)
        sys.exit(TAKEN)


if __name__ == '__main__':
    main()
