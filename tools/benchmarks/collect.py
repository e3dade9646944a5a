#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
r"""One JSON and one page from the results of a run of several benchmarks.

    python tools/benchmarks/collect.py work_dirs/benchmarks/gpu \
        --out docs/benchmarks/gpu

Takes NAME.json and NAME.md of the folder in the order of their names, and
whatever NAME.failed says of those that did not finish.
"""
import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sbam_mm.command_line import ToolParser, parses_first


@parses_first
def parse_args() -> argparse.Namespace:
    parser = ToolParser(__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--out', required=True)
    return parser.parse_args()


import paired


def collect(folder: Path) -> tuple:
    """All results of a folder and a page of their pages."""
    results, pages = {}, []
    for page in sorted(folder.glob('*.md')):
        results[page.stem] = json.loads(page.with_suffix('.json').read_text())
        pages.append(page.read_text().replace('# ', '## ', 1))
    for failed in sorted(folder.glob('*.failed')):
        results[failed.stem] = dict(failed=failed.read_text().strip())
        pages.append(f'## {failed.stem}\n\nNot measured: '
                     f'{failed.read_text().strip()}\n')
    return results, '\n'.join(['# Benchmarks of one run\n', *pages])


def main() -> None:
    args = parse_args()
    results, page = collect(args.folder)
    if not results:
        raise SystemExit(f'error: {args.folder} holds no result; run '
                         'tools/benchmarks/gpu.sh first.')
    paired.save(args.out, results, page)


if __name__ == '__main__':
    main()
