# Copyright (c) OpenMMLab. All rights reserved.
"""Files and commands of docs/extend/, as a reader copies them."""
import os
import re
import shlex
from pathlib import Path

from started_tools import ROOT, call_tool

BLOCK = re.compile(r'^```(\w+)\n(.*?)^```$', re.M | re.S)


def blocks(page, language):
    """Fenced blocks of a page of docs/, in order."""
    text = (ROOT / 'docs' / page).read_text(encoding='utf-8')
    return [code for name, code in BLOCK.findall(text) if name == language]


def write_files(page, folder):
    """The blocks that begin with the name of a file, in my_project/.

    Args:
        page (str): Below docs/.
        folder (Path): Gets links to configs/ and tools/, too, like the root
            of the repository in which a reader works.

    Returns:
        Path: ``my_project``.
    """
    project = folder / 'my_project'
    project.mkdir()
    for name in ('configs', 'tools'):
        (folder / name).symlink_to(ROOT / name)
    for code in blocks(page, 'python'):
        name = re.match(r'# (\w+\.py)\n', code)
        if name:
            (project / name[1]).write_text(code, encoding='utf-8')
    return project


def commands(page):
    """Command lines of a page."""
    return [line for block in blocks(page, 'bash')
            for line in block.replace('\\\n', '').splitlines()]


def run_command(command):
    """Run ``[NAME=VALUE] python tools/x.py ...`` in this process.

    Args:
        command (str): Its PYTHONPATH is to be in ``sys.path`` already.

    Returns:
        Ended: See ``call_tool``.
    """
    words = shlex.split(command)
    while '=' in words[0]:
        name, value = words.pop(0).split('=')
        assert name == 'PYTHONPATH' and Path(value).is_dir()
    python, tool, *arguments = words
    assert python == 'python' and os.path.dirname(tool) == 'tools'
    return call_tool(Path(tool).stem, *arguments)
