# Copyright (c) OpenMMLab. All rights reserved.
"""`--help` and wrong options need neither torch nor the stack."""
import os
import subprocess
import sys

import pytest
from started_tools import ROOT, load_tool

from sbam_mm.datasets.class_lists import CLASS_LISTS
from sbam_mm.evaluation.protocols import PROTOCOLS
from sbam_mm.models.checkpoint import SUFFIXES
from sbam_mm.models.checkpoint_formats import BRANCHES, FORMATS, PARTS
from sbam_mm.segments.maps import BACKENDS

# torchrun, whose help is its own, and what the benchmarks share.
NO_TOOLS = ('start_processes', 'paired', 'steps', 'step_options',
            'fake_cuda')
TOOLS = [str(path) for path in sorted((ROOT / 'tools').rglob('*.py'))
         if path.stem not in NO_TOOLS]
# Each as a program of its own name, one after the other.
CALL = """
import runpy, sys
_, option, status, *tools = sys.argv
for path in tools:
    sys.argv = [path, option]
    try:
        runpy.run_path(path, run_name='__main__')
    except SystemExit as end:
        assert end.code == int(status), (path, end.code)
    else:
        raise AssertionError(f'{path} {option} did not end')
    loaded = {'torch', 'mmcv', 'mmengine', 'numpy'} & {*sys.modules}
    assert not loaded, (path, loaded)
"""


@pytest.mark.integration
@pytest.mark.parametrize('option, status, tools', [
    ('--help', 0, TOOLS),
    # The benchmarks' device depends on the machine.
    ('--no-such-option', 2, [t for t in TOOLS if 'benchmarks' not in t]),
], ids=['help', 'wrong option'])
def test_it_ends_without_torch(option, status, tools):
    ended = subprocess.run(
        [sys.executable, '-c', CALL, option, str(status), *tools],
        capture_output=True, text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert ended.returncode == 0, ended.stderr[-2000:]
    said = ended.stdout.count('usage: ') + ended.stderr.count('error: ')
    assert said == len(tools) > 14


@pytest.mark.unit
@pytest.mark.parametrize('tool, known', [
    ('convert_checkpoint', [*FORMATS, *PARTS, *BRANCHES, *SUFFIXES]),
    ('generate_segments', BACKENDS),
    ('evaluate', [','.join(PROTOCOLS), *CLASS_LISTS]),
])
def test_help_names_what_the_package_has(tool, known, capsys, monkeypatch):
    monkeypatch.setattr('sys.argv', [tool, '--help'])
    with pytest.raises(SystemExit):
        load_tool(tool).parse_args()
    said = ''.join(capsys.readouterr().out.split())
    assert [name for name in known if name not in said] == []
