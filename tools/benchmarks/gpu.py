#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""Everything that wants a GPU, part by part, without network.

    python tools/benchmarks/gpu.py
    python tools/benchmarks/gpu.py --parts tests step_vitl --seconds 300
    python tools/benchmarks/gpu.py --device cpu

All parts take about ten minutes; with --device cpu they try themselves at toy
size. No part takes more than two minutes, the most important come first, and
each writes its result at once: a part that has one is skipped by the next
call, so the work may be cut into pieces or stopped at any moment. OUT.json and
OUT.md (docs/benchmarks/gpu) are written anew after every part. Images are
photographs that come with scikit-image and weights are random: nothing is
downloaded.

On a machine that has torch, torchvision and the usual scientific packages and
nothing else, --wheels names a folder with the missing ones
(docs/benchmarks/README.md says which).
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# Not installed where this tool brings wheels.
sys.path.insert(0, str(ROOT))

from sbam_mm.command_line import ToolParser, parses_first

FOLDER = Path('tools/benchmarks')
# Processes that test at once: most of the time is that of the host.
TESTERS = '8'
TOY_STEP = '--arch tiny --size 64 --batch 4 --rounds 1'


class Part(NamedTuple):
    """A benchmark: its command on a GPU and, at toy size, on a CPU."""
    seconds: int
    on_gpu: str
    on_cpu: str = TOY_STEP
    tool: str = ''


STEP, BATCH = 'pretrain_step.py', '--batch 256'
# The most important first.
PARTS = {
    'preflight': Part(40, '', '', 'preflight.py'),
    'tests': Part(120, '', ''),
    'step_vitl': Part(
        120, f'--arch large {BATCH} --rounds 5 --steps 4 --compile --only '
        'mmpretrain SBAM compiled', f'{TOY_STEP} --only SBAM', STEP),
    'step_vitb': Part(
        120, f'--arch base {BATCH} --rounds 6 --steps 4 --compile', TOY_STEP,
        STEP),
    'masking_vitl': Part(
        60, f'--arch large {BATCH} --amp --rounds 10', TOY_STEP,
        'masking_overhead.py'),
    'profile_vitl': Part(
        90, f'--arch large {BATCH} --compile', TOY_STEP, 'profile_step.py'),
    'packing_vitl': Part(
        60, f'--arch large {BATCH} --amp --rounds 8', TOY_STEP, 'packing.py'),
    'masking_vitb': Part(
        45, f'--arch base {BATCH} --amp --rounds 15', TOY_STEP,
        'masking_overhead.py'),
    'profile_vitb': Part(
        60, f'--arch base {BATCH} --compile', TOY_STEP, 'profile_step.py'),
    'salience_precision': Part(
        40, '', '--arch tiny --size 64 --batch 4 --length 256 --images 2 '
        '--rounds 1', 'salience_precision.py'),
    'long_salience': Part(
        20, '--images 8', '--length 256 --dim 32 --rounds 1',
        'salience_memory.py'),
    'small_images': Part(
        40, '--rounds 5 --images 16384 --workers 8',
        '--images 64 --batch 32 --rounds 1', 'small_images.py'),
    'device_input': Part(
        60, '', '--size 32 --batch 12 --workers 1 --batches 2 --rounds 1',
        'device_input.py'),
    'ibot_masking': Part(
        45, '--arch small --batch 32 --amp',
        '--arch tiny --size 64 --local 2 --rounds 1', 'ibot_masking.py'),
    'fast_paths': Part(
        45, f'--arch base {BATCH} --amp', TOY_STEP, 'fast_paths.py'),
    'maskers': Part(
        60, '--arch base --batch 128 --amp --rounds 8', TOY_STEP,
        'maskers.py'),
    'amt_collection': Part(
        45, '--arch base --batch 64 --amp --rounds 3', TOY_STEP,
        'amt_collection.py'),
}


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument(
        '--parts', nargs='+', choices=list(PARTS), metavar='NAME',
        default=list(PARTS), help=f'any of {", ".join(PARTS)}; default: all')
    parser.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    parser.add_argument(
        '--seconds', type=int, default=900, metavar='S',
        help='start no part that would end later (default: 900)')
    parser.add_argument(
        '--again', action='store_true',
        help='measure parts that have a result, too')
    parser.add_argument(
        '--results', type=Path, help='folder with the result of every part '
        '(default: work_dirs/benchmarks/DEVICE)')
    parser.add_argument(
        '--wheels', type=Path, help='folder of wheels to install first')
    parser.add_argument(
        '--out', type=Path, help='the page, without ending (default: '
        'docs/benchmarks/gpu; with --device cpu beside the results)')
    args = parser.parse_args()
    args.results = (
        args.results or ROOT / 'work_dirs/benchmarks' / args.device).resolve()
    args.out = args.out or (
        ROOT / 'docs/benchmarks/gpu' if args.device == 'cuda' else
        args.results.with_name('gpu_on_cpu'))
    return args


from sbam_mm.files import write_atomically, write_json


def prepare(args: argparse.Namespace) -> dict[str, str]:
    """The environment of all parts; stop where none could run."""
    args.results.mkdir(parents=True, exist_ok=True)
    paths = [str(ROOT), str(ROOT / 'tests')]
    if args.wheels:
        site = args.results / 'site'
        wheels = [str(path) for path in args.wheels.glob('*.whl')]
        if not wheels:
            raise SystemExit(f'error: {args.wheels} holds no wheel.')
        if not site.exists():
            fresh = args.results / 'site.new'
            subprocess.run(
                [sys.executable, '-m', 'pip', 'install', '-q', '--no-index',
                 '--no-deps', '--no-compile', '--upgrade', '--target',
                 str(fresh), *wheels], check=True)
            fresh.rename(site)
        paths.append(str(site))
    env = dict(os.environ)
    env['PYTHONPATH'] = os.pathsep.join(
        [*paths, *filter(None, [env.get('PYTHONPATH')])])
    check = ('import mmpretrain, pytest, skimage, sklearn, yapf, '
             'sbam_mm.models')
    if args.device == 'cuda':
        check += '; import torch; assert torch.cuda.is_available(), ' \
            '"torch sees no CUDA device; --device cpu tries the script"'
    found = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', check], env=env, cwd=ROOT,
        capture_output=True, text=True)
    if found.returncode:
        raise SystemExit(
            f'error: {found.stderr.strip().splitlines()[-1]}; install the '
            'project as the README says, or name wheels with --wheels.')
    return env


def command(name: str, args: argparse.Namespace) -> list[str]:
    part = PARTS[name]
    out = args.results / name
    if name == 'tests':
        files = sorted(
            str(path.relative_to(ROOT))
            for path in (ROOT / 'tests').rglob('test_*.py')
            if 'mark.gpu' in path.read_text())
        return ['-m', 'pytest', '-q', '-p', 'no:warnings', '-p',
                'no:cacheprovider', '-m', 'gpu', '-n', TESTERS, '-rfE', *files]
    options = part.on_gpu if args.device == 'cuda' else part.on_cpu
    return [str(FOLDER / part.tool), *options.split(), '--device',
            args.device, '--out', str(out)]


def summary_of_tests(results: Path) -> None:
    """The last lines of pytest's output as a result like the others."""
    lines = (results / 'tests.log').read_text().strip().splitlines()
    told = [line for line in lines if line.startswith(('FAILED', 'ERROR'))]
    text = '\n'.join(['# Tests marked "gpu"', '', lines[-1], '',
                      *(f'- {line}' for line in told), ''])
    (results / 'tests.json').write_text(
        json.dumps(dict(summary=lines[-1], failed=told)))
    (results / 'tests.md').write_text(text)


def run(name: str, args: argparse.Namespace, env: dict[str, str]) -> bool:
    """Measure one part and tell how it ended."""
    results, limit = args.results, PARTS[name].seconds
    if args.device == 'cpu':
        limit *= 5
    failed, log = results / f'{name}.failed', results / f'{name}.log'
    for old in (failed, results / f'{name}.md'):
        old.unlink(missing_ok=True)
    start = time.monotonic()
    with log.open('w') as file:
        try:
            code = subprocess.run(
                [sys.executable, '-W', 'ignore', *command(name, args)],
                env=env, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT,
                timeout=limit).returncode
        except subprocess.TimeoutExpired:
            code = None
    lines = log.read_text().strip().splitlines() or ['no output']
    # No test is collected where none is for the device.
    if name == 'tests' and code in (0, 1, 5):
        summary_of_tests(results)
    elif code is None:
        failed.write_text(f'stopped after {limit} s\n')
    elif code:
        failed.write_text(f'{lines[-1]}\n')
    spent = time.monotonic() - start
    print('\n'.join(lines[-30:] if code else lines[-14:]))
    print(f'== {name}: {"done" if code == 0 else "FAILED"} in {spent:.0f} s',
          flush=True)
    return code == 0


def collect(args: argparse.Namespace) -> None:
    """One JSON and one page from what is there."""
    found, pages = {}, ['# Benchmarks on one GPU\n']
    for name in PARTS:
        page = args.results / f'{name}.md'
        failed = args.results / f'{name}.failed'
        if page.exists():
            found[name] = json.loads(page.with_suffix('.json').read_text())
            pages.append(re.sub(
                '^#', '##', page.read_text(), flags=re.MULTILINE))
        elif failed.exists():
            found[name] = dict(failed=failed.read_text().strip())
            pages.append(f'## {name}\n\nNot measured: '
                         f'{failed.read_text().strip()}\n')
    if found:
        write_json(args.out.with_suffix('.json'), found)
        write_atomically(args.out.with_suffix('.md'),
                         '\n'.join(pages).encode())


def main() -> None:
    args = parse_args()
    end = time.monotonic() + args.seconds
    env = prepare(args)
    good = True
    for name in args.parts:
        if (args.results / f'{name}.md').exists() and not args.again:
            print(f'== {name}: has a result')
            continue
        if time.monotonic() + PARTS[name].seconds > end:
            print(f'== {name}: no time left, call again')
            continue
        good = run(name, args, env) and good
        collect(args)
    raise SystemExit(0 if good else 1)


if __name__ == '__main__':
    main()
