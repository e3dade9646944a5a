# Copyright (c) OpenMMLab. All rights reserved.
"""Every part of tools/benchmarks/gpu.py runs, at toy size and on the CPU."""
import json
import subprocess
import sys
from argparse import Namespace

import pytest
from started_tools import ROOT, call_tool, load_tool

gpu = load_tool('benchmarks/gpu')


@pytest.mark.parametrize(
    'name', [name for name, part in gpu.PARTS.items() if part.tool])
def test_a_part(name, tmp_path):
    script, *options = gpu.command(
        name, Namespace(device='cpu', results=tmp_path))
    ended = call_tool(script.removeprefix('tools/').removesuffix('.py'),
                      *options)
    assert ended.code == 0, ended.err
    page = (tmp_path / f'{name}.md').read_text()
    assert page.startswith('# ') and '---|---' in page
    assert json.loads((tmp_path / f'{name}.json').read_text())
    assert 'FAILED' not in page.replace(
        'FAILED: RuntimeError: the fallback runs instead', '')


def test_parts_fit_in_two_minutes_and_name_files():
    for name, part in gpu.PARTS.items():
        assert part.seconds <= 120
        assert (ROOT / gpu.FOLDER / part.tool).exists(), name


def started(folder, *options):
    return subprocess.run(
        [sys.executable, ROOT / 'tools/benchmarks/gpu.py', '--device', 'cpu',
         '--results', folder / 'parts', '--out', folder / 'page', *options],
        capture_output=True, text=True)


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    """A part with a result is not measured again, one that failed is."""
    late = started(tmp_path, '--parts', 'long_salience', '--seconds', '1')
    assert 'no time left' in late.stdout
    first = started(tmp_path, '--parts', 'long_salience')
    assert first.returncode == 0, first.stdout + first.stderr
    page = (tmp_path / 'page.md').read_text()
    assert '## Salience of long sequences' in page
    (tmp_path / 'parts/tests.failed').write_text('stopped after 120 s\n')
    again = started(tmp_path, '--parts', 'long_salience', 'tests')
    assert 'long_salience: has a result' in again.stdout
    assert 'tests: done' in again.stdout, again.stdout
    # No device here: all are skipped.
    assert 'skipped' in json.loads(
        (tmp_path / 'page.json').read_text())['tests']['summary']
