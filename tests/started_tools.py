# Copyright (c) OpenMMLab. All rights reserved.
"""Tools started in this process, which saves their imports."""
import importlib.util
import io
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer

ROOT = Path(__file__).resolve().parents[1]
TOOLS = sorted(path.stem for path in (ROOT / 'tools').glob('*.py')
               if path.stem != 'start_processes')


class Ended(NamedTuple):
    """How a tool ended.

    Attributes:
        code (int): Exit status.
        out, err (str): What it printed.
    """
    code: int
    out: str
    err: str


@cache
def load_tool(name):
    """A tool as a module."""
    spec = importlib.util.spec_from_file_location(
        f'tool_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call_tool(name, *args):
    """Start a tool as the command line does.

    Args:
        name (str): Such as "train".
        *args: Of its command line.

    Returns:
        Ended: An exception that nobody caught is not caught here either.
    """
    module = load_tool(name)
    # As in a process of its own: mmengine names loggers by the second, and
    # two runs of one second would share one.
    for kind in (MMLogger, MessageHub, Visualizer):
        kind._instance_dict.clear()
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv, handler = sys.argv, signal.getsignal(signal.SIGTERM)
    environment = dict(os.environ)
    sys.argv = [f'tools/{name}.py', *map(str, args)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            module.main()
    except SystemExit as end:
        code = end.code or 0
        if isinstance(code, str):
            err.write(code)
            code = 1
    finally:
        sys.argv = argv
        # Switches such as --trust-pickle hold for a process.
        os.environ.clear()
        os.environ.update(environment)
        signal.signal(signal.SIGTERM, handler)
    return Ended(code, out.getvalue(), err.getvalue())
