# Copyright (c) OpenMMLab. All rights reserved.
"""Every part of tools/benchmarks/gpu.py runs, at toy size and on the CPU."""
import json
import os
import subprocess
import sys
from argparse import Namespace

import pytest
from started_tools import ROOT, call_tool, load_tool

gpu = load_tool('benchmarks/gpu')


# Parts that differ by the size of the model alone are tried once.
TRIED = {part.tool: name for name, part in reversed(gpu.PARTS.items())
         if part.tool}


@pytest.mark.slow
@pytest.mark.parametrize('name', TRIED.values())
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


@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    """A part with a result is not measured again, one that failed is."""
    # Imports everything in a process of its own, as every part does.
    monkeypatch.setattr(gpu, 'prepare', lambda args: {
        **os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}'})
    (tmp_path / 'parts').mkdir()

    def called(*options):
        monkeypatch.setattr(sys, 'argv', [
            'gpu.py', '--device', 'cpu', '--results', str(tmp_path / 'parts'),
            '--out', str(tmp_path / 'page'), '--parts', *options])
        with pytest.raises(SystemExit) as end:
            gpu.main()
        return end.value.code, capsys.readouterr().out

    assert 'no time left' in called('long_salience', '--seconds', '1')[1]
    code, out = called('long_salience')
    assert code == 0, out
    assert '## Salience of long sequences' in (
        tmp_path / 'page.md').read_text()
    (tmp_path / 'parts/tests.failed').write_text('stopped after 120 s\n')
    code, out = called('long_salience', 'tests')
    assert 'long_salience: has a result' in out
    assert 'tests: done' in out
    # No device here: all are skipped.
    assert 'skipped' in json.loads(
        (tmp_path / 'page.json').read_text())['tests']['summary']


def test_what_could_not_run_is_said_at_once(tmp_path):
    """Before any part, by the tool as a user starts it."""
    (tmp_path / 'wheels').mkdir()
    ended = subprocess.run(
        [sys.executable, ROOT / 'tools/benchmarks/gpu.py', '--device', 'cpu',
         '--results', tmp_path / 'parts', '--wheels', tmp_path / 'wheels'],
        capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith('error: ') and 'no wheel' in ended.stderr
